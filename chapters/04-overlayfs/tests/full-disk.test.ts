import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  digestOf,
  loadArchive,
  mountAll,
  openContentStore,
  openImageStore,
  overlayfsSnapshotter,
  parseReference,
  pullImage,
  saveArchive,
  tarHeader,
  unpackImage,
  writeBlob,
  writeTar,
  type ContentStore,
  type ImageStore,
} from '../index.ts';
import { collect } from './bytes.ts';
import { fakeRegistry, type FakeRegistry } from './fake-registry.ts';
import { needsRoot, scratch, unmountLater } from './scratch.ts';

needsRoot();

/** A disk of four megabytes, with an image on it that was there before. */
let disk: string;
let content: ContentStore;
let images: ImageStore;
let registry: FakeRegistry;
const PLATFORM = { platform: { os: 'linux', architecture: 'amd64' }, pause: 1 };
const before = randomBytes(1000);

beforeEach(async () => {
  disk = unmountLater(scratch());
  mountAll([{ type: 'tmpfs', source: 'tmpfs', options: ['size=4m'] }], disk);
  content = await openContentStore(join(disk, 'content'));
  mkdirSync(join(disk, 'images'));
  images = await openImageStore(join(disk, 'images'));
  registry = await fakeRegistry();
  await writeBlob(content, before);
});
afterEach(() => registry.stop());

const free = (): number => statfsSync(disk).bfree;

/** What was there is there, whole; nothing else is; and room is made for what fits. */
async function asItWas(freeBefore: number): Promise<void> {
  expect((await content.readAll(digestOf(before))).equals(before)).toBe(true);
  expect((await content.list()).map(({ digest }) => digest)).toEqual([digestOf(before)]);
  expect(readdirSync(join(disk, 'content/ingest'))).toEqual([]);
  expect(await images.list()).toEqual([]);
  expect(free()).toBeGreaterThanOrEqual(freeBefore - 8); // directories may have grown, by pages
}

const layerOf = (size: number) =>
  collect(writeTar([{ header: tarHeader({ name: 'big', size }), body: randomBytes(size) }]));

describe('a full disk', () => {
  test('ends a pull by its name, and gives back what the pull had taken', async () => {
    const room = free();
    registry.addImage('1', [await layerOf(6 << 20)]);
    const pulling = pullImage(content, parseReference(`${registry.host}/app:1`), PLATFORM);
    await expect(pulling).rejects.toThrow(/ENOSPC.*no space left/);
    // The configuration had come before: whole, it may stay for the next try.
    for (const { digest, size } of await content.list())
      if (size < 500 && digest !== digestOf(before)) await content.delete(digest);
    await asItWas(room);
  });

  test('ends a load, of which nothing stays', async () => {
    const elsewhere = await openContentStore(scratch());
    registry.addImage('1', [await layerOf(6 << 20)]);
    const { target } = await pullImage(elsewhere, parseReference(`${registry.host}/app:1`), PLATFORM);
    const room = free();
    const archive = saveArchive(elsewhere, [{ names: ['docker.io/library/app:1'], target }]);
    await expect(loadArchive(archive, { content, images })).rejects.toThrow(/ENOSPC/);
    await asItWas(room);
  });

  test('ends an unpack by the entry that had no room; the layer is not there, and fits once there is', async () => {
    registry.addImage('1', [await layerOf(900 << 10), await layerOf(900 << 10)]);
    const { target } = await pullImage(content, parseReference(`${registry.host}/app:1`), PLATFORM);
    const snapshots = await overlayfsSnapshotter(join(disk, 'snapshots'));
    try {
      writeFileSync(join(disk, 'ballast'), Buffer.alloc(free() * 4096 - (1200 << 10)));
      await expect(unpackImage({ content, snapshots }, target)).rejects.toThrow(
        /layer entry "big": .*ENOSPC/,
      );
      expect((await snapshots.list()).filter(({ kind }) => kind !== 'committed')).toEqual([]);
      rmSync(join(disk, 'ballast'));
      await unpackImage({ content, snapshots }, target);
    } finally {
      await snapshots.close();
    }
  });

  test('leaves names as they were, when there is no room to write them', async () => {
    const target = { mediaType: 'x', digest: digestOf(before), size: before.length };
    await images.put('docker.io/library/a:1', target);
    writeFileSync(join(disk, 'ballast'), Buffer.alloc(free() * 4096));
    const labels = { long: 'x'.repeat(100_000) };
    await expect(images.put('docker.io/library/b:1', target, labels)).rejects.toThrow(/ENOSPC/);
    expect((await images.list()).map(({ name }) => name)).toEqual(['docker.io/library/a:1']);
    const again = await openImageStore(join(disk, 'images'));
    expect((await again.list()).map(({ name }) => name)).toEqual(['docker.io/library/a:1']);
    expect(readdirSync(join(disk, 'images'))).toEqual(['images.json']);
    await expect(writeBlob(content, randomBytes(100_000))).rejects.toThrow(/ENOSPC/);
    expect(readdirSync(join(disk, 'content/ingest'))).toEqual([]);
  });
});
