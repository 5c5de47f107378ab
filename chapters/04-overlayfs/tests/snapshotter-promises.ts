import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { applyLayer, diffLayer, mountAll, unmountAll, type Mount, type Snapshotter } from '../index.ts';
import { collect, streamOf } from './bytes.ts';
import { scratch, unmountLater } from './scratch.ts';
import { describeTree, makeZoo } from './zoo.ts';

export function mounted(mounts: Mount[]): string {
  const target = unmountLater(scratch());
  mountAll(mounts, target);
  return target;
}

/** What every snapshotter promises, whatever it is made of. @param place gives a folder where it can work */
export function keepsThePromises(
  name: string,
  open: (dir: string) => Promise<Snapshotter>,
  place: () => string = scratch,
): void {
  describe(`the promises of a snapshotter, kept by ${name}`, () => {
    test('no parent and no sibling sees what is written to a snapshot', async () => {
      const snapshots = await open(place());
      const base = mounted(await snapshots.prepare('base', ''));
      mkdirSync(join(base, 'dir'));
      for (const file of ['kept', 'changed', 'dir/gone']) writeFileSync(join(base, file), 'base');
      unmountAll(base);
      await snapshots.commit('layer', 'base');
      const [one, other] = [
        mounted(await snapshots.prepare('one', 'layer')),
        mounted(await snapshots.prepare('other', 'layer')),
      ];
      writeFileSync(join(one, 'changed'), 'one');
      writeFileSync(join(one, 'new'), 'one');
      rmSync(join(one, 'dir'), { recursive: true });
      expect(readdirSync(one).sort()).toEqual(['changed', 'kept', 'new']);
      const view = mounted(await snapshots.view('view', 'layer'));
      for (const root of [other, view]) {
        expect(readdirSync(root).sort()).toEqual(['changed', 'dir', 'kept']);
        expect(readFileSync(join(root, 'changed'), 'utf8')).toBe('base');
        expect(readdirSync(join(root, 'dir'))).toEqual(['gone']);
      }
      expect(() => writeFileSync(join(view, 'kept'), 'x')).toThrow('EROFS');

      unmountAll(one);
      await snapshots.commit('second', 'one');
      const child = mounted(await snapshots.prepare('child', 'second'));
      expect(readdirSync(child).sort()).toEqual(['changed', 'kept', 'new']);
      expect(readFileSync(join(child, 'changed'), 'utf8')).toBe('one');
      await snapshots.close();
    });

    test('a tree with one of everything is the same in a child', async () => {
      const zoo = scratch();
      makeZoo(zoo);
      const layer = await collect(diffLayer(zoo));
      const snapshots = await open(place());
      const base = mounted(await snapshots.prepare('base', ''));
      await applyLayer(streamOf(layer), base);
      unmountAll(base);
      await snapshots.commit('layer', 'base');
      expect(describeTree(mounted(await snapshots.prepare('child', 'layer')))).toEqual(describeTree(zoo));
      await snapshots.close();
    });

    test('what another snapshotter keeps is not touched', async () => {
      const dir = place();
      const snapshots = await open(dir);
      await snapshots.prepare('a', '');
      await snapshots.close();
      const metadata = join(dir, 'metadata.json');
      const text = readFileSync(metadata, 'utf8');
      writeFileSync(metadata, text.replace(`"${name}"`, '"another"'));
      await expect(open(dir)).rejects.toThrow(`has the snapshots of another, not of ${name}`);
      expect(readdirSync(join(dir, 'snapshots'))).toEqual(['1']);
      writeFileSync(metadata, text);
      const again = await open(dir);
      await again.remove('a');
      await again.close();
    });

    test('the root of a child has the owner and the mode of its parent', async () => {
      const snapshots = await open(place());
      const [base] = await snapshots.prepare('base', '');
      chownSync(base!.source, 1234, 4321);
      chmodSync(base!.source, 0o1777);
      await snapshots.commit('layer', 'base');
      const merged = mounted(await snapshots.prepare('child', 'layer'));
      const { uid, gid, mode } = statSync(merged);
      expect([uid, gid, mode & 0o7777]).toEqual([1234, 4321, 0o1777]);
      await snapshots.close();
    });

    test('refuses what containerd refuses, with the same kinds of error', async () => {
      const snapshots = await open(place());
      await snapshots.prepare('a', '');
      const refused = async (call: Promise<unknown>, code: string): Promise<void> =>
        expect(call).rejects.toMatchObject({ code });
      await refused(snapshots.prepare('a', ''), 'ALREADY_EXISTS');
      await refused(snapshots.prepare('b', 'nothing'), 'NOT_FOUND');
      await refused(snapshots.prepare('b', 'a'), 'INVALID_ARGUMENT');
      await refused(snapshots.prepare('', ''), 'INVALID_ARGUMENT');
      await refused(snapshots.commit('A', 'b'), 'NOT_FOUND');
      await snapshots.commit('A', 'a');
      await refused(snapshots.mounts('A'), 'FAILED_PRECONDITION');
      await refused(snapshots.mounts('a'), 'NOT_FOUND');
      await snapshots.view('v', 'A');
      await refused(snapshots.commit('V', 'v'), 'FAILED_PRECONDITION');
      await refused(snapshots.remove('A'), 'FAILED_PRECONDITION');
      await snapshots.prepare('c', 'A');
      await refused(snapshots.commit('A', 'c'), 'ALREADY_EXISTS');
      for (const call of [snapshots.stat('x'), snapshots.remove('x'), snapshots.usage('constructor')])
        await refused(call, 'NOT_FOUND');
      await snapshots.close();
    });

    test('tells kind, parent, labels and use, also after it is opened again', async () => {
      const dir = place();
      const before = await open(dir);
      const [mount] = await before.prepare('a', '', { one: '1' });
      writeFileSync(join(mount!.source, 'f'), Buffer.alloc(8192, 1));
      await before.commit('A', 'a');
      await before.prepare('b', 'A');
      await before.update('b', { two: '2' }, ['labels.two']);
      await before.close();

      const after = await open(dir);
      expect(await after.stat('A')).toMatchObject({
        kind: 'committed',
        name: 'A',
        parent: '',
        labels: { one: '1' },
      });
      expect(await after.stat('b')).toMatchObject({ kind: 'active', parent: 'A', labels: { two: '2' } });
      expect((await after.list()).map(({ name }) => name)).toEqual(['A', 'b']);
      const { size, inodes } = await after.usage('A');
      expect(inodes).toBe(2);
      expect(size).toBeGreaterThanOrEqual(8192);
      await after.remove('b');
      await after.remove('A');
      expect(readdirSync(join(dir, 'snapshots'))).toEqual([]);
      await after.close();
    });
  });
}
