import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  applyLayer,
  changesOf,
  decodeName,
  diffLayer,
  digestOf,
  encodeName,
  fsPath,
  isWhiteout,
  layersOf,
  mountAll,
  readTar,
  tarHeader,
  writeTar,
} from '../index.ts';
import { collect, streamOf } from './bytes.ts';
import { needsRoot, scratch, unmountLater } from './scratch.ts';
import { describeTree, makeZoo, ODD } from './zoo.ts';

needsRoot();

function zoo(): string {
  const dir = scratch();
  makeZoo(dir);
  return dir;
}

const XATTRS = ['--xattrs', '--xattrs-include=*'];

describe('a name', () => {
  test('keeps its bytes as a string, whatever they are', () => {
    for (let seed = 0; seed < 3000; seed++) {
      const bytes = Buffer.from(
        Array.from(
          { length: seed % 9 },
          (_, i) =>
            [0x80, 0xff, 0x61, 0xe2, 0x82, 0xac, 0xed, 0xa0, 0xf0, 0xc0, 0xbf][
              (seed * 7 + i * i * 13 + (seed >> 3)) % 11
            ]!,
        ),
      );
      expect(encodeName(decodeName(bytes))).toEqual(bytes);
    }
    expect(decodeName(Buffer.from('é🔑'))).toBe('é🔑');
    expect(ODD).toBe('caf\udce9-\udcff-\udce2\udc82');
  });

  test('has no spelling by which a slash or a dot could slip in', () => {
    const overlong = Buffer.from([0xc0, 0xae, 0xc0, 0xae, 0xc0, 0xaf]); // "../" in five-bit disguise
    expect(decodeName(overlong)).toHaveLength(6);
    expect(encodeName('\udc2e\udc2f').includes('/')).toBe(false);
  });
});

describe('a tree with one of everything', () => {
  test('is the same after a layer and back, holes included', async () => {
    const dir = zoo();
    const out = scratch();
    const { ignored } = await applyLayer(diffLayer(dir), out);
    expect(ignored).toEqual([]);
    expect(describeTree(out, { room: true })).toEqual(describeTree(dir, { room: true }));
  });

  test('has one digest, however its disk keeps it', async () => {
    const dir = zoo();
    const digest = digestOf(await collect(diffLayer(dir)));
    expect(digestOf(await collect(diffLayer(dir)))).toBe(digest);
    const copy = scratch();
    execFileSync('cp', ['-a', '--sparse=never', `${dir}/.`, copy]);
    expect(digestOf(await collect(diffLayer(copy)))).toBe(digest);
  });

  test('is the same when GNU tar unpacks our layer', async () => {
    const dir = zoo();
    const out = scratch();
    const tar = await collect(diffLayer(dir));
    execFileSync('tar', [...XATTRS, '--numeric-owner', '-xpf', '-', '-C', out], { input: tar });
    expect(describeTree(out)).toEqual(describeTree(dir));
  });

  test.each([
    ['posix', ['--format=posix']],
    ['posix, sparse', ['--format=posix', '-S']],
  ])('is the same when we unpack what GNU tar made: %s', async (_, args) => {
    const dir = zoo();
    const out = scratch();
    const tar = execFileSync('tar', [...args, ...XATTRS, '--numeric-owner', '-C', dir, '-cf', '-', '.'], {
      maxBuffer: 64 * 1024 * 1024,
    });
    await applyLayer(streamOf(tar), out);
    expect(describeTree(out)).toEqual(describeTree(dir));
  });
});

describe('names that are no UTF-8', () => {
  test('are overlaid, whited out, told and packed like any other', async () => {
    const lower = zoo();
    const [upper, work, merged] = [scratch(), scratch(), unmountLater(scratch())];
    const options = [`lowerdir=${lower}`, `upperdir=${upper}`, `workdir=${work}`];
    const mounts = [{ type: 'overlay', source: 'overlay', options }];
    mountAll(mounts, merged);
    rmSync(fsPath(join(merged, ODD)), { recursive: true });
    rmSync(fsPath(join(merged, `soft-${ODD}`)));
    mkdirSync(fsPath(join(merged, `new-${ODD}`)));
    writeFileSync(fsPath(join(merged, `new-${ODD}`, ODD)), '');
    expect(changesOf(layersOf(mounts)).map(({ kind, path }) => `${kind} ${path}`)).toEqual([
      `D /${ODD}`,
      `A /new-${ODD}`,
      `A /new-${ODD}/${ODD}`,
      `D /soft-${ODD}`,
    ]);
    const layer = await collect(diffLayer(upper));
    const names: string[] = [];
    for await (const { header } of readTar(streamOf(layer))) names.push(header.name);
    expect(names).toContain(`.wh.${ODD}`);

    const alone = scratch();
    await applyLayer(streamOf(layer), alone, { whiteouts: 'overlay' });
    expect(isWhiteout(lstatSync(fsPath(join(alone, ODD))))).toBe(true);
    const other = scratch();
    execFileSync('cp', ['-a', `${lower}/.`, other]);
    await applyLayer(streamOf(layer), other);
    expect(describeTree(other)).toEqual(describeTree(merged));
    expect(existsSync(fsPath(join(other, ODD)))).toBe(false);
  });

  test('cannot climb either', async () => {
    const dir = scratch();
    const hostile = writeTar([{ header: tarHeader({ name: `${ODD}/../../${ODD}` }) }]);
    await expect(applyLayer(hostile, dir)).rejects.toThrow('climbs out of the layer');
    const link = writeTar([
      { header: tarHeader({ name: ODD, type: 'symlink', linkname: '/tmp' }) },
      { header: tarHeader({ name: `${ODD}/${ODD}` }) },
    ]);
    await expect(applyLayer(link, dir)).rejects.toThrow('refused');
    expect(existsSync(fsPath(`/tmp/${ODD}`))).toBe(false);
  });
});
