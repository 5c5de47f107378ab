import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { btrfsSnapshotter } from '../index.ts';
import { needsRoot, scratch } from './scratch.ts';
import { keepsThePromises, mounted } from './snapshotter-promises.ts';

needsRoot();

/** A filesystem of the test's own: a file, made a btrfs by Debian's btrfs-progs, on a loop device that goes with the mount. */
let disk: string;
let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'o4-btrfs-'));
  disk = join(root, 'disk');
  mkdirSync(disk);
  execFileSync('truncate', ['-s', '300M', join(root, 'image')]);
  execFileSync('mkfs.btrfs', ['-q', join(root, 'image')]);
  execFileSync('mount', ['-o', 'loop', join(root, 'image'), disk]);
});
afterAll(() => {
  execFileSync('umount', ['--lazy', disk]); // a test that failed may have it open
  rmSync(root, { recursive: true });
});

const place = (): string => mkdtempSync(join(disk, 's-'));

keepsThePromises('btrfs', btrfsSnapshotter, place);

test('a child shares the blocks of its parent, and one byte written to a large file costs one block', async () => {
  const snapshots = await btrfsSnapshotter(place());
  const size = 32 * 1024 * 1024;
  const base = mounted(await snapshots.prepare('base', ''));
  writeFileSync(join(base, 'big'), Buffer.alloc(size, 'x'));
  await snapshots.commit('layer', 'base');
  const [mount] = await snapshots.prepare('child', 'layer');
  const subvolumes = execFileSync('btrfs', ['subvolume', 'list', disk], { encoding: 'utf8' });
  expect(subvolumes).toContain(mount!.source.slice(disk.length + 1));
  expect((await snapshots.usage('layer')).size).toBeGreaterThanOrEqual(size);
  expect((await snapshots.usage('child')).size).toBe(0);
  const child = mounted([mount!]);
  execFileSync('dd', ['if=/dev/zero', `of=${join(child, 'big')}`, 'bs=1', 'count=1', 'conv=notrunc'], {
    stdio: 'pipe',
  });
  const du = execFileSync('btrfs', ['filesystem', 'du', '--raw', '-s', mount!.source], { encoding: 'utf8' });
  const [, exclusive] = du.trim().split('\n').at(-1)!.trim().split(/\s+/);
  expect(Number(exclusive)).toBeLessThan(size / 100);
  await snapshots.close();
});

test('a committed snapshot cannot be written even past the snapshotter, and is removed all the same', async () => {
  const dir = place();
  const snapshots = await btrfsSnapshotter(dir);
  const [mount] = await snapshots.prepare('a', '');
  writeFileSync(join(mount!.source, 'file'), '');
  await snapshots.commit('A', 'a');
  expect(() => writeFileSync(join(mount!.source, 'file'), 'x')).toThrow('EROFS');
  await snapshots.remove('A');
  expect(readdirSync(join(dir, 'snapshots'))).toEqual([]);
  expect(execFileSync('btrfs', ['subvolume', 'list', disk], { encoding: 'utf8' })).not.toContain(
    `${dir.slice(disk.length + 1)}/`,
  );
  await snapshots.close();
});

test('what a crash left is removed at the next opening, subvolumes too', async () => {
  const dir = place();
  await (await btrfsSnapshotter(dir)).close();
  mkdirSync(join(dir, 'snapshots/new-x'));
  execFileSync('btrfs', ['-q', 'subvolume', 'create', join(dir, 'snapshots/new-x/fs')]);
  expect(statSync(join(dir, 'snapshots/new-x/fs')).ino).toBe(256);
  await (await btrfsSnapshotter(dir)).close();
  expect(readdirSync(join(dir, 'snapshots'))).toEqual([]);
});

test('on another filesystem it says that it needs btrfs, and makes nothing there', async () => {
  const dir = scratch();
  await expect(btrfsSnapshotter(dir)).rejects.toThrow(
    /is not on btrfs \(its filesystem has the number 0x[0-9a-f]+\)/,
  );
  expect(readdirSync(dir)).toEqual([]);
});
