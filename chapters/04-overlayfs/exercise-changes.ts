import { appendFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expectSame, expectThat, type Exercise, type Trial } from '../01-processes/index.ts';
import { MNT, mount, umount } from '../02-namespaces/index.ts';
import { changesOf, type Change } from './changes.ts';
import { requireOverlay } from './exercise-overlay.ts';

export const changes: Exercise = {
  gap: '04.1',
  task: 'Tell what a container has changed, from its upper directory.',
  hints: [
    'Whatever is in the upper directory is a change. Only two things there are marks: whiteouts and opaque directories.',
    '`upper.names(dir)` is what upper says something about; `below.lookup(path)` what the lower layers showed at a path, `below.names(dir)` what they showed in a directory.',
    'For each name in upper: a whiteout (upper.isWhiteout) is D, if anything was below; else C or A, and visit(path) if it is a directory. If the directory is opaque (upper.isOpaque), D for each of below.names that upper has not.',
  ],
  check: checkChanges,
  wrong: [
    {
      mistake: 'takes a whiteout for a file',
      code: `const names = upper.names(dir);
for (const name of names) {
  const path = join(dir, name);
  changes.push({ kind: below.lookup(path) ? 'C' : 'A', path });
  if (upper.isDirectory(path)) visit(path);
}
if (upper.isOpaque(dir))
  for (const name of below.names(dir))
    if (!names.includes(name)) changes.push({ kind: 'D', path: join(dir, name) });`,
      diagnosis: 'isWhiteout',
    },
    {
      mistake: 'does not look below: everything is new',
      code: `for (const name of upper.names(dir)) {
  const path = join(dir, name);
  changes.push({ kind: upper.isWhiteout(path) ? 'D' : 'A', path });
  if (upper.isDirectory(path)) visit(path);
}`,
      diagnosis: 'the lower layers had it',
    },
    {
      mistake: 'forgets opaque directories',
      code: `for (const name of upper.names(dir)) {
  const path = join(dir, name);
  if (upper.isWhiteout(path)) changes.push({ kind: 'D', path });
  else changes.push({ kind: below.lookup(path) ? 'C' : 'A', path });
  if (upper.isDirectory(path)) visit(path);
}`,
      diagnosis: 'opaque',
    },
    {
      mistake: 'stays in the first directory',
      code: `for (const name of upper.names(dir)) {
  const path = join(dir, name);
  if (upper.isWhiteout(path)) changes.push({ kind: 'D', path });
  else changes.push({ kind: below.lookup(path) ? 'C' : 'A', path });
}`,
      diagnosis: 'visit(path)',
    },
  ],
};

function checkChanges(t: Trial): void {
  requireOverlay(t);
  const [lower, upper, work, merged] = [t.folder(), t.folder(), t.folder(), t.folder()];
  const [dir, kept, changed, deleted, added, anew] = Array.from({ length: 6 }, () => t.word()) as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  mkdirSync(join(lower, dir));
  mkdirSync(join(lower, anew));
  for (const name of [kept, changed, deleted]) writeFileSync(join(lower, dir, name), 'lower');
  for (const name of [kept, deleted]) writeFileSync(join(lower, anew, name), 'lower');
  const data = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
  mount({ source: 'overlay', target: merged, type: 'overlay', data });
  t.cleanup(() => umount(merged, MNT.DETACH));
  const stack = { upper, lowers: [lower] };
  expectSame('the changes of an untouched container', [], changesOf(stack), 'Nothing is in upper yet.');

  appendFileSync(join(merged, dir, changed), 'more');
  rmSync(join(merged, dir, deleted));
  writeFileSync(join(merged, dir, added), 'new');
  rmSync(join(merged, anew), { recursive: true });
  mkdirSync(join(merged, anew));
  writeFileSync(join(merged, anew, kept), 'new');
  const found = changesOf(stack);
  const kindOf = (...parts: string[]): string =>
    found.find(({ path }) => path === `/${parts.join('/')}`)?.kind ?? 'nothing';
  expectThat(
    found.some(({ path }) => path.startsWith(`/${dir}/`)),
    `changes below /${dir}`,
    'none',
    'Changes lie in directories too: visit(path) for each of them.',
  );
  expectSame(
    'the kind of a file that was deleted',
    'D',
    kindOf(dir, deleted),
    'A character device 0/0 is no file that someone added: ask upper.isWhiteout.',
  );
  expectSame(
    'the kind of a file that was written to',
    'C',
    kindOf(dir, changed),
    'It was not added: the lower layers had it. Ask below.lookup.',
  );
  expectSame('the kind of a new file', 'A', kindOf(dir, added), 'The lower layers did not have it.');
  expectSame(
    'the kind of a file that a directory made anew does not have',
    'D',
    kindOf(anew, deleted),
    'An opaque directory deletes what was below without naming it: upper.isOpaque, below.names.',
  );
  const expected: Change[] = [
    { kind: 'C' as const, path: `/${anew}` },
    { kind: 'D' as const, path: `/${anew}/${deleted}` },
    { kind: 'C' as const, path: `/${anew}/${kept}` },
    { kind: 'A' as const, path: `/${dir}/${added}` },
    { kind: 'C' as const, path: `/${dir}` },
    { kind: 'C' as const, path: `/${dir}/${changed}` },
    { kind: 'D' as const, path: `/${dir}/${deleted}` },
  ].sort((a, b) => (a.path < b.path ? -1 : 1));
  expectSame('all changes', expected, found, 'One line for each thing in upper, and for what opaque hides.');
}
