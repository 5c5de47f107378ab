import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readMountinfo } from '../../01-processes/index.ts';
import { mountAll, overlayfsSnapshotter, type Mount } from '../index.ts';
import { mountByRelativePaths, mountStepByStep } from '../mount-layers.ts';
import { needsRoot, scratch, unmountLater } from './scratch.ts';

needsRoot();

/** A stack of layers, each with a file of its own, whose options are longer than the page that mount(2) takes. */
function stack(count: number, name = 'fs'): Mount {
  const dir = join(scratch(), 'a-rather-long-name-for-the-folder-of-all-layers');
  const layers = Array.from({ length: count }, (_, i) => join(dir, `${i}`, name));
  for (const [i, layer] of layers.entries()) {
    mkdirSync(layer, { recursive: true });
    writeFileSync(join(layer, `f${i}`), '');
  }
  const [upper, work] = [join(dir, 'upper'), join(dir, 'work')];
  for (const folder of [upper, work]) mkdirSync(folder);
  const options = [`lowerdir=${layers.join(':')}`, `upperdir=${upper}`, `workdir=${work}`];
  expect(options.join().length).toBeGreaterThan(4096);
  return { type: 'overlay', source: 'overlay', options };
}

/** Whether this kernel takes layers one by one: Linux 6.7. */
const [major, minor] = (process.report.getReport() as { header: { osRelease: string } }).header.osRelease
  .split('.')
  .map(Number) as [number, number];
const takesOneByOne = major > 6 || (major === 6 && minor >= 7);

describe('an overlay of more layers than fit into a page of options', () => {
  test.each([128, 500])('is mounted, and can be written to: %d layers', (count) => {
    const mount = stack(count);
    const target = unmountLater(scratch());
    const cwd = process.cwd();
    mountAll([mount], target);
    expect(readdirSync(target).length).toBe(count);
    writeFileSync(join(target, 'f7'), 'changed');
    expect(process.cwd()).toBe(cwd);
  });

  test('is mounted step by step where the kernel can, and else by relative paths', () => {
    const mount = stack(128);
    const [one, other] = [unmountLater(scratch()), unmountLater(scratch())];
    expect(mountStepByStep(mount, one)).toBe(takesOneByOne);
    const options = readMountinfo()?.find(({ mountPoint }) => mountPoint === one)?.superOptions;
    if (takesOneByOne) expect(options?.filter((option) => option.startsWith('lowerdir+=')).length).toBe(128);
    else expect(options).toBeUndefined();
    mountByRelativePaths({ ...mount, options: mount.options.slice(0, 1) }, other);
    expect(readdirSync(other).length).toBe(128);
  });

  test('has paths that the kernel takes in neither way: says so, and mounts nothing', () => {
    const mount = stack(20, 'n'.repeat(250));
    const target = unmountLater(scratch());
    expect(() => mountAll([mount], target)).toThrow(
      /20 layers need \d+ bytes of options; the kernel takes 4095/,
    );
    expect(readMountinfo()?.some(({ mountPoint }) => mountPoint === target)).toBe(false);
  });

  test('has more layers than overlayfs stacks: says so before the kernel does', () => {
    const target = unmountLater(scratch());
    expect(() => mountAll([stack(501)], target)).toThrow('501 layers; overlayfs stacks 500 at most');
  });

  test('tells the kernel’s own words when it refuses', () => {
    const mount = stack(128);
    const broken = { ...mount, options: [...mount.options, 'nonsense'] };
    const target = unmountLater(scratch());
    expect(() => mountAll([broken], target)).toThrow(
      takesOneByOne ? /mount on .*Unknown parameter 'nonsense'/ : /EINVAL/,
    );
  });
});

test('a snapshot on 127 others is mounted', async () => {
  const dir = join(scratch(), 'a-rather-long-name-for-a-folder-of-data');
  const snapshots = await overlayfsSnapshotter(dir);
  let parent = '';
  for (let i = 0; i < 127; i++) {
    await snapshots.prepare('k', parent);
    writeFileSync(join(dir, 'snapshots', String(i + 1), 'fs', `f${i}`), '');
    parent = `c${i}`;
    await snapshots.commit(parent, 'k');
  }
  const mounts = await snapshots.prepare('top', parent);
  const target = unmountLater(scratch());
  mountAll(mounts, target);
  expect(readdirSync(target).length).toBe(127);
  await snapshots.close();
});
