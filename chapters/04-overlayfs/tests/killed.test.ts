import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import {
  digestOf,
  openContentStore,
  openImageStore,
  overlayfsSnapshotter,
  parseReference,
  pullImage,
  resolveImage,
  saveArchive,
  unpackImage,
} from '../index.ts';
import { loadBaseImage } from './base.ts';
import { fakeRegistry } from './fake-registry.ts';
import { needsRoot, scratch } from './scratch.ts';

needsRoot();

const PROGRAM = join(import.meta.dirname, 'killed-program.ts');

/** Everything that a store says it has is really there, whole; and what was there before still is. */
async function judge(dir: string, before: string): Promise<void> {
  const content = await openContentStore(join(dir, 'content'));
  for (const { digest } of await content.list()) expect(digestOf(await content.readAll(digest))).toBe(digest);
  const images = await openImageStore(dir);
  expect((await images.list()).map(({ name }) => name)).toContain(before);
  const snapshots = await overlayfsSnapshotter(join(dir, 'snapshots'));
  try {
    for (const { target } of await images.list()) {
      const { manifest } = await resolveImage(content, target);
      for (const { digest } of manifest.layers) await content.info(digest);
      await unpackImage({ content, snapshots }, target);
    }
  } finally {
    await snapshots.close();
  }
}

test('kill -9 at any moment of pull, load, unpack, commit, removal and prune leaves a store that opens, with all that was there', async () => {
  const dir = scratch();
  const content = await openContentStore(join(dir, 'content'));
  const target = await loadBaseImage(content, dir);
  const images = await openImageStore(dir);
  await images.put('docker.io/library/before:1', target);
  const archive = join(dir, 'archive.tar');
  await pipeline(
    saveArchive(content, [{ names: ['docker.io/library/loaded:1'], target }]),
    createWriteStream(archive),
  );
  const registry = await fakeRegistry();
  try {
    const layer = await content.readAll((await resolveImage(content, target)).manifest.layers[0]!.digest);
    registry.addImage('1', [layer, layer]);
    for (let i = 0; i < 5; i++) {
      const child = spawn(
        process.execPath,
        ['--import', 'tsx', PROGRAM, dir, archive, `${registry.host}/app:1`],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
          timeout: 60_000,
        },
      );
      const closed = once(child, 'close');
      try {
        await Promise.race([once(child.stdout, 'data'), closed]);
        // Early in the first round, or anywhere in a later one.
        await sleep(Math.random() * (i % 2 === 0 ? 400 : 2500));
        expect([child.exitCode, child.signalCode], 'it ended by itself').toEqual([null, null]);
      } finally {
        child.kill('SIGKILL');
        await closed;
      }
      await judge(dir, 'docker.io/library/before:1');
    }
    // And the work can be done to its end after all that.
    const store = await openContentStore(join(dir, 'content'));
    const { manifest } = await pullImage(store, parseReference(`${registry.host}/app:1`), {
      platform: { os: 'linux', architecture: 'amd64' },
    });
    expect(manifest.layers).toHaveLength(2);
  } finally {
    await registry.stop();
  }
});
