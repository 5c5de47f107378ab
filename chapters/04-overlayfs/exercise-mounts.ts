import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expectSame, expectThat, isErrno, Wrong, type Exercise, type Trial } from '../01-processes/index.ts';
import { MNT, mountWithOptions, umount } from '../02-namespaces/index.ts';
import { requireOverlay } from './exercise-overlay.ts';
import { snapshotMounts } from './overlay-snapshotter.ts';

export const mounting: Exercise = {
  gap: '04.4',
  task: 'Say how a snapshot is mounted.',
  hints: [
    'How many directories are to be seen? One needs no overlay, more do. Who may write?',
    'overlayfs.rst: lowerdir is a list, the topmost first; upperdir and workdir come together, and are what makes it writable.',
    'active: [fs, ...lower], a view: lower (or fs, if there is none). One of them: bind, rw or ro, rbind. More: overlay with lowerdir=A:B, and for an active one workdir= and upperdir=.',
  ],
  check: checkMounts,
  wrong: [
    {
      mistake: 'names the lower directories bottom up',
      code: `if (lower.length === 0) return [{ type: 'bind', source: fs, options: [kind === 'active' ? 'rw' : 'ro', 'rbind'] }];
if (kind !== 'active' && lower.length === 1) return [{ type: 'bind', source: lower[0]!, options: ['ro', 'rbind'] }];
const options = [\`lowerdir=\${[...lower].reverse().join(':')}\`];
if (kind === 'active') options.unshift(\`workdir=\${work}\`, \`upperdir=\${fs}\`);
return [{ type: 'overlay', source: 'overlay', options }];`,
      diagnosis: 'topmost',
    },
    {
      mistake: 'makes a view that can be written',
      code: `if (lower.length === 0) return [{ type: 'bind', source: fs, options: ['rw', 'rbind'] }];
const options = [\`workdir=\${work}\`, \`upperdir=\${fs}\`, \`lowerdir=\${lower.join(':')}\`];
return [{ type: 'overlay', source: 'overlay', options }];`,
      diagnosis: 'a view',
    },
    {
      mistake: 'mounts an overlay of one directory',
      code: `const options = [\`lowerdir=\${lower.join(':')}\`];
if (kind === 'active') options.unshift(\`workdir=\${work}\`, \`upperdir=\${fs}\`);
return [{ type: 'overlay', source: 'overlay', options }];`,
      diagnosis: 'bind mount',
    },
    {
      mistake: 'forgets the work directory',
      code: `if (lower.length === 0) return [{ type: 'bind', source: fs, options: [kind === 'active' ? 'rw' : 'ro', 'rbind'] }];
if (kind !== 'active' && lower.length === 1) return [{ type: 'bind', source: lower[0]!, options: ['ro', 'rbind'] }];
const options = [\`lowerdir=\${lower.join(':')}\`];
if (kind === 'active') options.unshift(\`upperdir=\${fs}\`);
return [{ type: 'overlay', source: 'overlay', options }];`,
      diagnosis: 'workdir',
    },
  ],
};

function checkMounts(t: Trial): void {
  requireOverlay(t);
  const layers = [t.folder(), t.folder(), t.folder()] as const;
  const name = t.word();
  for (const [i, layer] of layers.entries()) {
    writeFileSync(join(layer, name), `layer ${i}`);
    writeFileSync(join(layer, `only-${i}`), '');
  }
  const base = t.folder();
  const [fs, work] = [join(base, 'fs'), join(base, 'work')];
  for (const dir of [fs, work]) mkdirSync(dir);
  const mounted = (kind: 'active' | 'view', lower: readonly string[]): string => {
    const target = t.folder();
    const mounts = snapshotMounts({ kind, fs, work, lower });
    const options = mounts[0]?.options ?? [];
    try {
      for (const one of mounts) mountWithOptions({ ...one, target });
    } catch (error) {
      if (!(error instanceof Error) || error.name === 'NotImplemented') throw error;
      const alone = lower.length === 0 || (kind === 'view' && lower.length === 1);
      const cause = alone
        ? 'overlayfs merges at least two directories. One alone is shown by a bind mount.'
        : options.some((o) => o.startsWith('upperdir=')) && !options.some((o) => o.startsWith('workdir='))
          ? 'An upper directory needs a workdir beside it, on the same filesystem.'
          : 'Compare your options with overlayfs.rst; `dmesg | tail` has the kernel’s own words.';
      throw new Wrong({ expected: `a mount of ${kind}`, observed: error.message, cause });
    }
    t.cleanup(() => umount(target, MNT.DETACH));
    return target;
  };

  const view = mounted('view', layers);
  expectSame(
    'a file that every layer has',
    'layer 0',
    readFileSync(join(view, name), 'utf8'),
    'lowerdir is a list with the topmost layer first, as `lower` is.',
  );
  const all = readdirSync(view).sort();
  expectSame('the names', [name, 'only-0', 'only-1', 'only-2'].sort(), all, 'Every layer shows through.');
  for (const target of [view, mounted('view', layers.slice(0, 1)), mounted('view', [])]) {
    let refused = false;
    try {
      writeFileSync(join(target, t.word()), '');
    } catch (error) {
      refused = isErrno(error, 'EROFS');
    }
    expectThat(refused, 'EROFS on writing', 'it was written', 'a view is read only: no upperdir, or ro.');
  }

  const active = mounted('active', layers);
  const word = t.word();
  writeFileSync(join(active, name), word);
  const copied = readdirSync(fs).includes(name) ? readFileSync(join(fs, name), 'utf8') : 'nothing';
  expectSame('what upper has of a file that was written', word, copied, 'upperdir is fs.');
  expectSame(
    'the layer below',
    'layer 0',
    readFileSync(join(layers[0], name), 'utf8'),
    'No layer below may change.',
  );
  const lowest = mounted('active', []);
  const own = t.word();
  writeFileSync(join(lowest, own), '');
  expectThat(readdirSync(fs).includes(own), `${own} in fs`, readdirSync(fs), 'A bind mount of fs, rw.');
}
