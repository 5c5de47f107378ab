import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { readMountinfo, type Step } from '../01-processes/index.ts';
import { changesOf, getXattr, mountAll, unmountAll, type Mount } from './index.ts';

// What is copied up, and how many layers there can be.

const MIB = 1024 * 1024;

/** An overlay of the step's own, on a lower directory with a large file, two names of one file, and a directory. */
function overlay(
  s: Step,
  dir: string,
  ...options: string[]
): { lower: string; upper: string; merged: string } {
  const [lower, upper, work, merged] = ['lower', 'upper', 'work', 'merged'].map((name) =>
    join(dir, name),
  ) as [string, string, string, string];
  for (const folder of [upper, work, merged, join(lower, 'tree')]) mkdirSync(folder, { recursive: true });
  writeFileSync(join(lower, 'big'), Buffer.alloc(8 * MIB, 'x'));
  writeFileSync(join(lower, 'a'), 'one\n');
  linkSync(join(lower, 'a'), join(lower, 'b'));
  for (const name of ['x', 'y']) writeFileSync(join(lower, 'tree', name), name);
  const places = [`lowerdir=${lower}`, `upperdir=${upper}`, `workdir=${work}`];
  mountAll([{ type: 'overlay', source: 'overlay', options: [...options, ...places] }], merged);
  s.cleanup(`unmount ${merged}`, () => unmountAll(merged));
  return { lower, upper, merged };
}

const bytes = (path: string): string => `${(statSync(path).blocks * 512) >> 10} KiB`;

/** Each kind of first write, and what it costs. */
export function copyUpFileByFile(s: Step, dir: string): void {
  const PLAIN = ['index=off', 'metacopy=off', 'redirect_dir=off'];
  const plain = overlay(s, join(dir, 'plain'), ...PLAIN);
  readFileSync(join(plain.merged, 'big'));
  s.claim('reading 8 MiB has copied nothing', readdirSync(plain.upper).length === 0);

  chmodSync(join(plain.merged, 'big'), 0o600);
  s.call('chmod("merged/big", 0600)', 0);
  const meta = overlay(s, join(dir, 'metacopy'), 'index=off', 'metacopy=on');
  chmodSync(join(meta.merged, 'big'), 0o600);
  const mark = getXattr(join(meta.upper, 'big'), 'trusted.overlay.metacopy');
  s.evidence('what upper has of a file of 8 MiB of which only the mode was changed', {
    'as Docker mounts it': bytes(join(plain.upper, 'big')),
    'metacopy=on': `${bytes(join(meta.upper, 'big'))}, trusted.overlay.metacopy is ${mark ? 'set' : 'not set'}`,
  });
  s.claim('all of it, without metacopy', statSync(join(plain.upper, 'big')).blocks * 512 >= 8 * MIB);
  s.claim(
    'none of it with metacopy',
    statSync(join(meta.upper, 'big')).blocks * 512 < MIB && mark !== undefined,
  );
  s.claim('and what is seen is the same', readFileSync(join(meta.merged, 'big')).length === 8 * MIB);

  appendFileSync(join(plain.merged, 'a'), 'two\n');
  s.call('open("merged/a", O_WRONLY|O_APPEND); write("two")', 4);
  const index = overlay(s, join(dir, 'index'), 'index=on');
  appendFileSync(join(index.merged, 'a'), 'two\n');
  const shown = (merged: string): string => JSON.stringify(readFileSync(join(merged, 'b'), 'utf8'));
  s.evidence('b, the other name of the same lower file', {
    'as Docker mounts it': shown(plain.merged),
    'index=on': shown(index.merged),
    'upper, with index=on': readdirSync(index.upper).join(' '),
  });
  s.claim('without an index the two names are parted', shown(plain.merged) === '"one\\n"');
  s.claim(
    'with one they are not, though upper has but one of them',
    shown(index.merged) === '"one\\ntwo\\n"',
  );

  const redirect = overlay(s, join(dir, 'redirect'), 'index=off', 'redirect_dir=on');
  for (const { merged } of [plain, redirect])
    execFileSync('mv', [join(merged, 'tree'), join(merged, 'moved')]);
  s.call('rename("merged/tree", "merged/moved")', 'EXDEV, so mv copies; with redirect_dir=on: 0');
  s.evidence('what upper has of the renamed directory', {
    'as Docker mounts it': readdirSync(join(plain.upper, 'moved')).join(' '),
    'redirect_dir=on': `${readdirSync(join(redirect.upper, 'moved')).join(' ') || '(nothing)'}, trusted.overlay.redirect=${String(getXattr(join(redirect.upper, 'moved'), 'trusted.overlay.redirect'))}`,
  });
  const told = changesOf({ upper: redirect.upper, lowers: [redirect.lower] }).map(
    ({ kind, path }) => kind + path,
  );
  s.evidence('docker diff would say, of either', { changes: told.join(' ') });
  s.claim('the diff knows what was brought along', told.includes('A/moved/x') && told.includes('D/tree'));
}

/** More layers than fit into the one page of options that mount(2) takes. */
export function manyLayers(s: Step, dir: string): void {
  const layers = Array.from({ length: 128 }, (_, i) =>
    join(dir, 'a-name-as-long-as-that-of-a-chain-id', `${i}`, 'fs'),
  );
  for (const [i, layer] of layers.entries()) {
    mkdirSync(layer, { recursive: true });
    writeFileSync(join(layer, `file-${i}`), '');
  }
  const merged = join(dir, 'merged');
  mkdirSync(merged);
  const mount: Mount = { type: 'overlay', source: 'overlay', options: [`lowerdir=${layers.join(':')}`] };
  mountAll([mount], merged);
  s.cleanup(`unmount ${merged}`, () => unmountAll(merged));
  const options = readMountinfo()?.find(({ mountPoint }) => mountPoint === merged)?.superOptions ?? [];
  s.call(
    options.some((option) => option.startsWith('lowerdir+='))
      ? 'fsopen("overlay"); fsconfig("lowerdir+", LAYER) 128 times; fsconfig(CREATE); fsmount(); move_mount()'
      : 'chdir(ABOVE); mount("overlay", …, "lowerdir=0/fs:1/fs:…"): this kernel takes no layers one by one',
    0,
  );
  s.evidence('128 layers', {
    'bytes of options': mount.options[0]!.length,
    'bytes that mount(2) takes': 4096,
    'files that are seen': readdirSync(merged).length,
  });
  s.claim(
    'every layer shows through',
    layers.every((_, i) => lstatSync(join(merged, `file-${i}`)).isFile()),
  );
}
