import { createHash, randomFillSync } from 'node:crypto';
import { createWriteStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import {
  applyLayer,
  MEDIA_TYPE,
  openContentStore,
  parseReference,
  pushImage,
  tarHeader,
  writeBlob,
  writeTar,
  type Descriptor,
  type Digest,
  type TarInput,
} from '../../chapters/04-overlayfs/index.ts';

/** How many files a layer holds, and of how many bytes each: few that are large, many that are small. */
const LAYERS = [
  { files: 20, size: 8 << 20 },
  { files: 1000, size: 80 << 10 },
  { files: 8000, size: 3400 },
];

/** Bytes that compress to three quarters, as programs about do: each of 64 kinds. */
function bytes(size: number): Buffer {
  const buffer = randomFillSync(Buffer.allocUnsafe(size));
  for (let i = 0; i < size; i++) buffer[i]! &= 63;
  return buffer;
}

/** Files in directories of a hundred. */
export function* files(top: string, count: number, size: number): Generator<TarInput> {
  yield { header: tarHeader({ name: `${top}/`, type: 'directory', mode: 0o755 }) };
  const body = bytes(size);
  for (let i = 0; i < count; i++) {
    if (i % 100 === 0)
      yield { header: tarHeader({ name: `${top}/${i / 100}/`, type: 'directory', mode: 0o755 }) };
    // Each a little different: nothing is gained by looking twice.
    body.writeUInt32LE(i, 0);
    yield { header: tarHeader({ name: `${top}/${Math.floor(i / 100)}/file-${i}`, size }), body };
  }
}

/** A part of a number, at least one. */
export const share = (count: number, percent: number): number =>
  Math.max(1, Math.round((count * percent) / 100));

/**
 * Puts an image of three layers into a registry. Says how many bytes and files they are.
 * @param percent how many of the files that are 200 MB as they are sent
 */
export async function pushLoad(
  dir: string,
  name: string,
  percent: number,
): Promise<{ bytes: number; files: number }> {
  const content = await openContentStore(join(dir, 'load'));
  const layers: Descriptor[] = [];
  const diff_ids: Digest[] = [];
  const counts = LAYERS.map(({ files }) => share(files, percent));
  for (const [i, { size }] of LAYERS.entries()) {
    const count = counts[i]!;
    const hash = createHash('sha256');
    const tar = async function* (): AsyncGenerator<Buffer> {
      for await (const chunk of writeTar(files(`layer-${i}`, count, size))) {
        hash.update(chunk);
        yield chunk;
      }
    };
    const gzip = createGzip({ level: 1 });
    const sending = pipeline(tar(), gzip);
    const blob = await writeBlob(content, gzip as AsyncIterable<Uint8Array>);
    await sending;
    layers.push({ mediaType: MEDIA_TYPE.layerGzip, digest: blob.digest, size: blob.size });
    diff_ids.push(`sha256:${hash.digest('hex')}`);
  }
  const put = async (mediaType: string, value: object): Promise<Descriptor> => {
    const { digest, size } = await writeBlob(content, Buffer.from(JSON.stringify(value)));
    return { mediaType, digest, size };
  };
  const architecture = { x64: 'amd64' }[process.arch as string] ?? process.arch;
  const config = { os: 'linux', architecture, config: {}, rootfs: { type: 'layers', diff_ids } };
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.manifest,
    config: await put(MEDIA_TYPE.config, config),
    layers,
  };
  await pushImage(content, await put(MEDIA_TYPE.manifest, manifest), parseReference(name));
  return {
    bytes: layers.reduce((sum, { size }) => sum + size, 0),
    files: counts.reduce((sum, count) => sum + count, 0),
  };
}

/** The same files as a tar and as a directory. */
export async function makeTree(
  dir: string,
  name: string,
  count: number,
  size: number,
): Promise<{ tar: string; tree: string }> {
  const [tar, tree] = [join(dir, `${name}.tar`), join(dir, name)];
  mkdirSync(tree);
  await pipeline(writeTar(files(name, count, size)), createWriteStream(tar));
  await applyLayer(writeTar(files(name, count, size)), tree);
  return { tar, tree };
}
