import { closeSync, existsSync, lstatSync, mkdirSync, openSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fdPath } from '../../02-namespaces/index.ts';
import {
  applyLayer,
  diffLayer,
  isWhiteout,
  makeWhiteout,
  nativeSnapshotter,
  overlayfsSnapshotter,
  readTar,
  tarHeader,
  writeTar,
} from '../index.ts';
import { diskUsage } from '../disk-usage.ts';
import { removeTree } from '../remove-tree.ts';
import { needsRoot, scratch } from './scratch.ts';

needsRoot();

/** As long as a name may be: NAME_MAX. */
const LONGEST = 'n'.repeat(255);

/** Makes directories in one another, deeper than a path can say (PATH_MAX), with a file in the last: by a handle of each. */
function digDeep(top: string, levels = 50): void {
  const name = 'd'.repeat(200);
  let fd = openSync(top, 'r');
  for (let level = 0; level < levels; level++) {
    mkdirSync(fdPath(fd, name));
    const next = openSync(fdPath(fd, name), 'r');
    closeSync(fd);
    fd = next;
  }
  writeFileSync(fdPath(fd, 'bottom'), 'x'.repeat(10_000));
  closeSync(fd);
  expect(() => lstatSync(join(top, ...Array<string>(levels).fill(name)))).toThrow('ENAMETOOLONG');
}

test('names of 255 bytes are packed and unpacked, and so are whiteouts of them, which are longer in the tar', async () => {
  const [upper, applied, below] = [scratch(), scratch(), scratch()];
  mkdirSync(join(upper, LONGEST));
  writeFileSync(join(upper, LONGEST, LONGEST), 'content');
  const gone = 'g'.repeat(255);
  makeWhiteout(join(upper, gone));
  const names: string[] = [];
  for await (const { header } of readTar(diffLayer(upper))) names.push(header.name);
  expect(names).toEqual([`.wh.${gone}`, `${LONGEST}/`, `${LONGEST}/${LONGEST}`]);
  await applyLayer(diffLayer(upper), applied, { whiteouts: 'overlay' });
  expect(isWhiteout(lstatSync(join(applied, gone)))).toBe(true);
  writeFileSync(join(below, gone), '');
  await applyLayer(diffLayer(upper), below);
  expect(readdirSync(below)).toEqual([LONGEST]);
  expect(lstatSync(join(below, LONGEST, LONGEST)).size).toBe(7);
});

test.each([
  ['a name', 'n'.repeat(256), /^layer entry "n{256}": .*ENAMETOOLONG/],
  ['a path', `${'p/'.repeat(2500)}x`, /^layer entry "(p\/){150}"…: a path of 5001 bytes: at most 4095$/],
])('%s that is too long is refused, with what is allowed', async (_, name, says) => {
  const dir = scratch();
  const layer = writeTar([{ header: tarHeader({ name, size: 1 }), body: Buffer.from('x') }]);
  await expect(applyLayer(layer, dir)).rejects.toThrow(says);
  expect(readdirSync(dir)).toEqual([]);
});

test('a tree that is deeper than a path can say is removed whole, and only it', async () => {
  const dir = scratch();
  for (const name of ['deep', 'other']) mkdirSync(join(dir, name));
  digDeep(join(dir, 'deep'));
  await removeTree(join(dir, 'deep'));
  expect(readdirSync(dir)).toEqual(['other']);
});

test.each([
  ['overlayfs', overlayfsSnapshotter],
  ['native', nativeSnapshotter],
])('a container of %s that dug so deep costs what it takes, and is removed', async (_, open) => {
  const dir = scratch();
  const snapshots = await open(dir);
  await snapshots.prepare('digger', '');
  const folder = join(dir, 'snapshots', readdirSync(join(dir, 'snapshots'))[0]!);
  digDeep(join(folder, 'fs'));
  const { size, inodes } = await snapshots.usage('digger');
  expect(inodes).toBe(52);
  expect(size).toBeGreaterThanOrEqual(10_000);
  expect(await diskUsage(folder)).toMatchObject({ inodes: expect.any(Number) as number });
  await snapshots.remove('digger');
  expect(existsSync(folder)).toBe(false);
});

test('a layer may put a file in the place of such a tree, or take it away', async () => {
  const dir = scratch();
  for (const [name, entry] of [
    ['replaced', tarHeader({ name: 'replaced' })],
    ['gone', tarHeader({ name: '.wh.gone' })],
  ] as const) {
    mkdirSync(join(dir, name));
    digDeep(join(dir, name));
    await applyLayer(writeTar([{ header: entry }]), dir);
  }
  expect(readdirSync(dir)).toEqual(['replaced']);
  expect(lstatSync(join(dir, 'replaced')).isFile()).toBe(true);
});
