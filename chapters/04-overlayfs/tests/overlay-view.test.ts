import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  applyLayer,
  changesOf,
  diffLayer,
  getXattr,
  layersOf,
  mountAll,
  overlayView,
  setXattr,
  unmountAll,
  type Mount,
} from '../index.ts';
import { collect } from './bytes.ts';
import { needsRoot, scratch, unmountLater } from './scratch.ts';
import { describeTree } from './zoo.ts';

needsRoot();

interface Overlay {
  mounts: Mount[];
  upper: string;
  merged: string;
}

function overlay(lowers: string[], ...options: string[]): Overlay {
  const [upper, work, merged] = [scratch(), scratch(), unmountLater(scratch())];
  const places = [`lowerdir=${lowers.join(':')}`, `upperdir=${upper}`, `workdir=${work}`];
  const mounts = [{ type: 'overlay', source: 'overlay', options: [...options, ...places] }];
  mountAll(mounts, merged);
  return { mounts, upper, merged };
}

/** The lower layers alone, as the kernel merges them. */
function below(lowers: string[], ...options: string[]): string {
  if (lowers.length === 1) return lowers[0]!;
  const merged = unmountLater(scratch());
  mountAll(
    [{ type: 'overlay', source: 'overlay', options: [...options, `lowerdir=${lowers.join(':')}`] }],
    merged,
  );
  return merged;
}

/** What differs between two trees: Docker's own slow way, and the judge of the quick one. */
function compare(before: string, after: string): string[] {
  const lines = (dir: string): Map<string, string> =>
    new Map(
      describeTree(dir).map((line) => {
        const [name, mode, owner, device, time, size] = JSON.parse(line) as string[];
        const isDirectory = mode!.startsWith('4');
        return [`/${name}`, [mode, owner, device, isDirectory ? '' : `${time} ${size}`].join()];
      }),
    );
  const [old, now] = [lines(before), lines(after)];
  const found = new Map<string, string>();
  for (const [path, line] of now)
    if (!old.has(path)) found.set(path, 'A');
    else if (old.get(path) !== line) found.set(path, 'C');
  const isThere = (path: string): boolean => now.get(path)?.startsWith('4') === true;
  for (const path of old.keys()) {
    const parent = path.slice(0, path.lastIndexOf('/'));
    if (!now.has(path) && (parent === '' || isThere(parent))) {
      if (parent === '' || old.get(parent)?.startsWith('4')) found.set(path, 'D');
    }
  }
  for (const path of [...found.keys()])
    for (let dir = path.slice(0, path.lastIndexOf('/')); dir; dir = dir.slice(0, dir.lastIndexOf('/')))
      if (!found.has(dir)) found.set(dir, 'C');
  return [...found].map(([path, kind]) => `${kind} ${path}`).sort();
}

const told = (mounts: Mount[]): string[] =>
  changesOf(layersOf(mounts))
    .map(({ kind, path }) => `${kind} ${path}`)
    .sort();

/** The layer of an overlay, on a copy of what it lay on, gives the same tree. */
async function layerIsRight({ mounts, merged }: Overlay, before: string): Promise<void> {
  const copy = scratch();
  execFileSync('cp', ['-a', `${before}/.`, copy]);
  await applyLayer(diffLayer(layersOf(mounts)), copy);
  const plain = (dir: string): string[] =>
    // A directory's time changes with what is done in it; hard links of the lower layer may be parted.
    describeTree(dir).map((line) => {
      const [name, mode, owner, device, time, size, , ...rest] = JSON.parse(line) as string[];
      return JSON.stringify([name, mode, owner, device, mode!.startsWith('4') ? '' : time, size, ...rest]);
    });
  expect(plain(copy)).toEqual(plain(merged));
}

function tree(): string {
  const dir = scratch();
  for (const folder of ['a/b/c', 'd', 'e/f']) mkdirSync(join(dir, folder), { recursive: true });
  for (const file of ['a/1', 'a/b/2', 'a/b/c/3', 'd/4', 'e/f/5', '6']) writeFileSync(join(dir, file), file);
  return dir;
}

const BOTH = ['redirect_dir=on', 'metacopy=on'];

describe('a directory that was renamed with redirect_dir', () => {
  test('brings its names along, from wherever they lie', async () => {
    const lower = tree();
    const one = overlay([lower], 'redirect_dir=on');
    renameSync(join(one.merged, 'a/b'), join(one.merged, 'd/moved'));
    appendFileSync(join(one.merged, 'd/moved/2'), '!');
    expect(getXattr(join(one.upper, 'd/moved'), 'trusted.overlay.redirect')?.toString()).toBe('/a/b');
    expect(readdirSync(join(one.upper, 'd/moved'))).toEqual(['2']); // the rest lies below
    expect(told(one.mounts)).toEqual(
      ['A /d/moved', 'A /d/moved/2', 'A /d/moved/c', 'A /d/moved/c/3', 'C /a', 'C /d', 'D /a/b'].sort(),
    );
    await layerIsRight(one, lower);
    await expect(collectAll(one.upper)).rejects.toThrow('cannot be told without the layers below');
  });

  test('is found through several layers, each of which renamed something', async () => {
    const lower = tree();
    const one = overlay([lower], 'redirect_dir=on');
    renameSync(join(one.merged, 'a'), join(one.merged, 'z'));
    writeFileSync(join(one.merged, 'z/b/new'), 'new');
    const two = overlay([one.upper, lower], 'redirect_dir=on');
    renameSync(join(two.merged, 'z/b'), join(two.merged, 'e/b'));
    renameSync(join(two.merged, 'e/b/c'), join(two.merged, 'e/b/cc'));
    expect(readFileSync(join(two.merged, 'e/b/cc/3'), 'utf8')).toBe('a/b/c/3');
    const before = below([one.upper, lower]);
    expect(told(two.mounts)).toEqual(compare(before, two.merged));
    await layerIsRight(two, before);
  });
});

const collectAll = (upper: string): Promise<Buffer> => collect(diffLayer(upper));

describe('a file of which only the metadata was copied up', () => {
  test('is changed, and its layer has the bytes from below', async () => {
    const lower = tree();
    const one = overlay([lower], ...BOTH);
    chmodSync(join(one.merged, 'a/b/2'), 0o600);
    const copy = join(one.upper, 'a/b/2');
    expect(getXattr(copy, 'trusted.overlay.metacopy')).toBeDefined();
    expect(readFileSync(copy)).toEqual(Buffer.alloc(statSync(copy).size)); // as long, but nothing is in it
    expect(told(one.mounts)).toEqual(['C /a', 'C /a/b', 'C /a/b/2']);
    await layerIsRight(one, lower);
    await expect(collectAll(one.upper)).rejects.toThrow(/without its bytes \(metacopy\)/);
  });

  test('is found when it was renamed, too', async () => {
    const lower = tree();
    const one = overlay([lower], ...BOTH);
    chmodSync(join(one.merged, 'a/1'), 0o600);
    renameSync(join(one.merged, 'a/1'), join(one.merged, 'd/one'));
    const two = overlay([one.upper, lower], ...BOTH);
    chmodSync(join(two.merged, 'd/one'), 0o640);
    expect(readFileSync(join(two.merged, 'd/one'), 'utf8')).toBe('a/1');
    await layerIsRight(one, lower);
    await layerIsRight(two, below([one.upper, lower], ...BOTH));
  });
});

test('a whiteout may be an attribute, where the kernel and the directory say so', () => {
  const [upper, lower] = [scratch(), tree()];
  mkdirSync(join(upper, 'd'));
  writeFileSync(join(upper, 'd/4'), '');
  setXattr(join(upper, 'd/4'), 'trusted.overlay.whiteout', Buffer.alloc(0));
  // Without the mark on the directory the kernel does not look closely, and neither do we.
  expect(overlayView([upper, lower]).lookup('/d/4')).toBeDefined();
  expect(readdirSync(join(below([upper, lower]), 'd'))).toEqual(['4']);
  setXattr(join(upper, 'd'), 'trusted.overlay.opaque', Buffer.from('x'));
  const view = overlayView([upper, lower]);
  const kernel = process.report.getReport() as { header: { osRelease: string } };
  const [major, minor] = kernel.header.osRelease.split('.').map(Number) as [number, number];
  expect(view.lookup('/d/4')).toBeUndefined();
  expect(view.names('/d')).toEqual([]);
  if (major > 6 || (major === 6 && minor >= 7))
    expect(readdirSync(join(below([upper, lower]), 'd'))).toEqual([]);
  expect(changesOf({ upper, lowers: [lower] }).map(({ kind, path }) => kind + path)).toEqual([
    'C/d',
    'D/d/4',
  ]);
});

describe.each([
  ['as Docker mounts it', ['redirect_dir=off', 'metacopy=off', 'index=off']],
  ['with redirect_dir', ['redirect_dir=on', 'metacopy=off', 'index=off']],
  ['with redirect_dir and metacopy', [...BOTH, 'index=off']],
])('random work on an overlay %s', (_, options) => {
  test.each([1, 2, 3, 4, 5, 6])(
    'is told as a comparison of the trees tells it, and makes the right layer: %d',
    async (seed) => {
      const random = generator(seed);
      let lowers = [tree()];
      for (let layer = 0; layer < 3; layer++) {
        const one = overlay(lowers, ...options);
        for (let i = 0; i < 25; i++) work(one.merged, random);
        const before = below(lowers, ...options);
        expect(told(one.mounts)).toEqual(compare(before, one.merged));
        await layerIsRight(one, before);
        const shown = describeTree(one.merged);
        const view = overlayView([one.upper, ...lowers]);
        const seen = (dir: string): string[] =>
          view.names(dir).flatMap((name) => {
            const path = join(dir, name);
            return [path, ...(view.lookup(path)!.stat.isDirectory() ? seen(path) : [])];
          });
        expect(seen('/').sort()).toEqual(shown.map((line) => `/${(JSON.parse(line) as string[])[0]}`).sort());
        unmountAll(one.merged);
        lowers = [one.upper, ...lowers];
      }
    },
  );
});

/** Numbers below `limit`, the same for the same seed. */
function generator(seed: number): (limit: number) => number {
  let state = seed * 2654435761;
  return (limit) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % limit;
  };
}

/** Does one thing that programs do to files. */
function work(root: string, random: (limit: number) => number): void {
  const all = (dir: string): string[] =>
    readdirSync(dir).flatMap((name) => {
      const path = join(dir, name);
      return [path, ...(lstatSync(path).isDirectory() ? all(path) : [])];
    });
  const paths = all(root);
  const folders = [root, ...paths.filter((path) => lstatSync(path).isDirectory())];
  const pick = (from: string[]): string | undefined => from[random(from.length)];
  const path = pick(paths);
  const fresh = join(pick(folders)!, `n${random(8)}`);
  const kind = random(8);
  if (kind < 2 || path === undefined) {
    if (existsSync(fresh)) return;
    if (kind === 0) mkdirSync(fresh);
    else writeFileSync(fresh, fresh.slice(root.length));
  } else if (kind === 2) {
    rmSync(path, { recursive: true });
  } else if (kind === 3) {
    if (lstatSync(path).isFile()) appendFileSync(path, '+');
  } else if (kind === 4) {
    chmodSync(path, 0o700 + random(64));
  } else if (kind === 5) {
    if (lstatSync(path).isFile() && !existsSync(fresh)) linkSync(path, fresh);
  } else if (kind === 6) {
    // Made anew in the place of what was deleted: opaque.
    if (!lstatSync(path).isDirectory()) return;
    rmSync(path, { recursive: true });
    mkdirSync(path);
    writeFileSync(join(path, basename(path)), 'again');
  } else if (!existsSync(fresh) && !`${fresh}/`.startsWith(`${path}/`)) {
    execFileSync('mv', [path, fresh]);
  }
}
