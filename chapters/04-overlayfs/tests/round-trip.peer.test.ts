import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  createReadStream,
  existsSync,
  mkdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { beforeEach, describe, expect, test } from 'vitest';
import {
  applyLayer,
  diffLayer,
  digestOf,
  fsPath,
  hostPlatform,
  loadArchive,
  MEDIA_TYPE,
  nativeSnapshotter,
  openContentStore,
  openImageStore,
  resolveImage,
  saveArchive,
  unpackImage,
  writeBlob,
  type Digest,
} from '../index.ts';
import { collect, streamOf } from './bytes.ts';
import { needsRoot, scratch } from './scratch.ts';
import { mounted } from './snapshotter-promises.ts';
import { describeTree, makeZoo, ODD } from './zoo.ts';

needsRoot();

const run = (program: string, ...args: string[]): string =>
  execFileSync(program, args, { encoding: 'utf8', stdio: 'pipe', timeout: 100_000 });

/** A tree with one of everything, as an OCI layout that this chapter wrote. */
let zoo: string;
let layout: string;
beforeEach(async () => {
  zoo = scratch();
  makeZoo(zoo);
  layout = scratch();
  const content = await openContentStore(scratch());
  const layer = await collect(diffLayer(zoo));
  const blob = async (
    mediaType: string,
    bytes: Buffer,
  ): Promise<{ mediaType: string; digest: Digest; size: number }> => {
    const { digest, size } = await writeBlob(content, bytes);
    return { mediaType, digest, size };
  };
  const config = {
    ...hostPlatform(),
    config: {},
    rootfs: { type: 'layers', diff_ids: [digestOf(layer)] },
    history: [{ created_by: 'zoo' }],
  };
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.manifest,
    config: await blob(MEDIA_TYPE.config, Buffer.from(JSON.stringify(config))),
    layers: [await blob(MEDIA_TYPE.layer, layer)],
  };
  const target = await blob(MEDIA_TYPE.manifest, Buffer.from(JSON.stringify(manifest)));
  await applyLayer(saveArchive(content, [{ names: ['docker.io/library/zoo:one'], target }]), layout);
});

/** Loads an archive and shows the image's files. */
async function unpacked(archive: AsyncIterable<Uint8Array>): Promise<{ root: string; mediaTypes: string[] }> {
  const [content, images] = [await openContentStore(scratch()), await openImageStore(scratch())];
  const [image] = await loadArchive(archive, { content, images });
  const snapshots = await nativeSnapshotter(scratch());
  const top = await unpackImage({ content, snapshots }, image!.target);
  const root = mounted(await snapshots.view('view', top));
  await snapshots.close();
  const { manifest } = await resolveImage(content, image!.target);
  return { root, mediaTypes: manifest.layers.map(({ mediaType }) => mediaType) };
}

/** An OCI layout as one tar. */
const packed = (layout: string): AsyncIterable<Uint8Array> =>
  Readable.from(streamOf(execFileSync('tar', ['-C', layout, '-cf', '-', '.'], { maxBuffer: 64 << 20 })));

describe('umoci', () => {
  test('unpacks our layer to the same tree, and its own change of it is ours', async () => {
    const bundle = join(scratch(), 'bundle');
    run('umoci', 'unpack', '--image', `${layout}:one`, bundle);
    const rootfs = join(bundle, 'rootfs');
    expect(describeTree(rootfs)).toEqual(describeTree(zoo));

    rmSync(fsPath(join(rootfs, ODD)), { recursive: true });
    rmSync(join(rootfs, 'far'), { recursive: true });
    writeFileSync(fsPath(join(rootfs, `new-${ODD}`)), 'new');
    mkdirSync(join(rootfs, 'far'));
    chmodSync(join(rootfs, 'deep'), 0o711);
    // umoci rounds times to seconds in what it packs.
    for (const name of ['far', 'deep', `new-${ODD}`, `hard-${ODD}`])
      utimesSync(fsPath(join(rootfs, name)), 1_700_000_000, 1_700_000_000);
    run('umoci', 'repack', '--image', `${layout}:two`, bundle);
    run('umoci', 'rm', '--image', `${layout}:one`);
    // The tables of docker load are ours, and tell of the first image alone.
    rmSync(join(layout, 'manifest.json'), { force: true });
    const { root } = await unpacked(packed(layout));
    expect(existsSync(fsPath(join(root, ODD)))).toBe(false);
    expect(describeTree(root)).toEqual(describeTree(rootfs));
  });
});

describe('skopeo', () => {
  test('carries our image to a Docker archive and back', async () => {
    const archive = join(scratch(), 'docker.tar');
    run('skopeo', 'copy', `oci:${layout}:one`, `docker-archive:${archive}:zoo:one`);
    const { root } = await unpacked(createReadStream(archive));
    expect(describeTree(root)).toEqual(describeTree(zoo));
  });

  test.each(['gzip', 'zstd'])('compresses our layer with %s, and it is the same tree', async (format) => {
    const out = scratch();
    run(
      'skopeo',
      'copy',
      '--dest-compress',
      '--dest-compress-format',
      format,
      `oci:${layout}:one`,
      `oci:${out}:one`,
    );
    const { root, mediaTypes } = await unpacked(packed(out));
    expect(mediaTypes).toEqual([expect.stringMatching(new RegExp(`\\+${format}$`))]);
    expect(describeTree(root)).toEqual(describeTree(zoo));
  });
});
