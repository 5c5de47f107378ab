import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import {
  hostPlatform,
  MEDIA_TYPE,
  openContentStore,
  parseReference,
  pushImage,
  writeBlob,
} from '../index.ts';
import { serveRegistry, type RegistryServer } from '../registry-server.ts';
import { scratch } from './scratch.ts';

let registry: RegistryServer | undefined;
afterEach(() => registry?.stop());

/** A registry with an image of one layer of so many bytes. */
async function registryWith(size: number): Promise<RegistryServer> {
  registry = await serveRegistry(scratch());
  const content = await openContentStore(scratch());
  async function* bytes(): AsyncGenerator<Buffer> {
    const piece = Buffer.alloc(1 << 20, 'layer');
    for (let left = size; left > 0; left -= piece.length)
      yield piece.subarray(0, Math.min(left, piece.length));
  }
  const layer = await writeBlob(content, bytes());
  const put = async (mediaType: string, value: object) => ({
    mediaType,
    ...(await writeBlob(content, Buffer.from(JSON.stringify(value)))),
  });
  const rootfs = { type: 'layers', diff_ids: [layer.digest] };
  const manifest = await put(MEDIA_TYPE.manifest, {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.manifest,
    config: await put(MEDIA_TYPE.config, { ...hostPlatform(), rootfs }),
    layers: [{ mediaType: MEDIA_TYPE.layer, ...layer }],
  });
  await pushImage(content, manifest, parseReference(`${registry.host}/from:1`));
  return registry;
}

test('the memory that a pull and a push take does not grow with the layer', async () => {
  const peaks: number[] = [];
  for (const size of [1 << 20, 160 << 20]) {
    const { host, stop } = await registryWith(size);
    // By its other name it is another registry: nothing can be mounted, all is sent.
    const other = host.replace('127.0.0.1', 'localhost');
    const program = join(import.meta.dirname, 'pull-memory-program.ts');
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', 'tsx', program, scratch(), `${host}/from:1`, `${other}/to:1`],
      { timeout: 120_000 },
    );
    peaks.push(Number(stdout));
    await stop();
  }
  const [small, large] = peaks as [number, number];
  expect(small).toBeGreaterThan(20);
  expect(large - small, `${small} MB for 1 MB, ${large} MB for 160 MB`).toBeLessThan(80);
}, 300_000);
