import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expectSame, expectThat, isErrno, Wrong, type Exercise, type Trial } from '../01-processes/index.ts';
import { cgroupMounts, scratch } from './exercise-scratch.ts';
import { makeFolders } from './folders.ts';

export const folders: Exercise = {
  gap: '03.2',
  task: 'Make a cgroup and those above it that are missing, from the top down, and leave nothing if that fails.',
  hints: [
    'Between the top and the cgroup each folder may be there already, or not. Only those that were not are yours: to report, and to take away again.',
    'mkdir(2): EEXIST says that it was there. `each` has work to do in every folder on the way before the next is made below it (in a cpuset, in cgroup.subtree_control).',
    'for (name of path.slice(1).split("/")) { folder = join(folder, name); try mkdirSync and made.push, ignore EEXIST; each(folder) } in a try whose catch calls removeFolders(made) and throws on.',
  ],
  check: checkMakeFolders,
  wrong: [
    {
      mistake: 'makes the whole path at once',
      code: `const folder = join(top, path);
const made = mkdirSync(folder, { recursive: true }) === undefined ? [] : [folder];
each(folder);
return made;`,
      diagnosis: 'each folder on the way',
    },
    {
      mistake: 'reports folders that were there before',
      code: `const made: string[] = [];
let folder = top;
try {
  for (const name of path.slice(1).split('/')) {
    folder = join(folder, name);
    mkdirSync(folder, { recursive: true });
    made.push(folder);
    each(folder);
  }
  return made;
} catch (error) {
  removeFolders(made);
  throw error;
}`,
      diagnosis: 'is not yours',
    },
    {
      mistake: 'leaves half of it when something fails',
      code: `const made: string[] = [];
let folder = top;
for (const name of path.slice(1).split('/')) {
  folder = join(folder, name);
  try {
    mkdirSync(folder);
    made.push(folder);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
  }
  each(folder);
}
return made;`,
      diagnosis: 'half a cgroup',
    },
    {
      mistake: 'calls each for new folders only',
      code: `const made: string[] = [];
let folder = top;
try {
  for (const name of path.slice(1).split('/')) {
    folder = join(folder, name);
    try {
      mkdirSync(folder);
    } catch (error) {
      if (isErrno(error, 'EEXIST')) continue;
      throw error;
    }
    made.push(folder);
    each(folder);
  }
  return made;
} catch (error) {
  removeFolders(made);
  throw error;
}`,
      diagnosis: 'also for those that were there',
    },
    {
      mistake: 'does not expect a folder to be there',
      code: `const made: string[] = [];
let folder = top;
try {
  for (const name of path.slice(1).split('/')) {
    folder = join(folder, name);
    mkdirSync(folder);
    made.push(folder);
    each(folder);
  }
  return made;
} catch (error) {
  removeFolders(made);
  throw error;
}`,
      diagnosis: 'EEXIST',
    },
  ],
};

function checkMakeFolders(t: Trial): void {
  const top = scratch(t, cgroupMounts()[0]!.mountPoint);
  const [a, b, c] = [t.word(), t.word(), t.word()];
  const way = [join(top, a), join(top, a, b), join(top, a, b, c)];
  const isCgroup = (folder: string): boolean => existsSync(join(folder, 'cgroup.procs'));
  const there = (): string[] => way.filter(isCgroup);
  expectSame('the cgroups before', [], there(), '');

  // All are missing.
  const seen: string[] = [];
  const below: boolean[] = [];
  const made = makeFolders(top, `/${a}/${b}/${c}`, (folder) => {
    seen.push(folder);
    below.push(isCgroup(folder) && !way.some((one) => one.startsWith(`${folder}/`) && isCgroup(one)));
  });
  expectSame(
    'the cgroups that are there',
    way,
    there(),
    'The path is taken from `top`, a folder for each name.',
  );
  expectThat(
    JSON.stringify(seen) === JSON.stringify(way) && below.every(Boolean),
    `each to be called with ${way.join(', ')}, before there is anything below`,
    `called with ${seen.join(', ') || 'nothing'}`,
    'Call each for each folder on the way, when it is made and before the next: what is below inherits from it.',
  );
  expectSame('the folders that were made', way, made, 'Return all that were made, topmost first.');

  // Some are there.
  const d = t.word();
  const last = join(top, a, b, d);
  seen.length = 0;
  let second: string[];
  try {
    second = makeFolders(top, `/${a}/${b}/${d}`, (folder) => seen.push(folder));
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
    throw new Wrong({
      expected: `/${a}/${b}/${d} to be made below what is there`,
      observed: String(error),
      cause: 'EEXIST: someone made it before. That is no failure.',
    });
  }
  expectSame(
    'the folders that were made',
    [last],
    second,
    'A folder that was there before is not yours: it would be taken away with the others if a later tree refuses.',
  );
  expectSame(
    'the folders that each was called with',
    [way[0], way[1], last],
    seen,
    'Call each for all on the way, also for those that were there: they may not have been made ready.',
  );

  // The kernel refuses the last name; and the next time `each` fails.
  const [e, f] = [t.word(), t.word()];
  for (const [path, fails] of [
    [`/${a}/${e}/${f}\n`, 'a name with a newline, which the kernel refuses'],
    [`/${a}/${e}/${f}`, 'a failure of each'],
  ] as const) {
    let thrown = '';
    try {
      makeFolders(top, path, (folder) => {
        if (folder.endsWith(`/${f}`)) throw new Error(f);
      });
    } catch (error) {
      thrown = String(error);
    }
    expectThat(thrown !== '', `${fails} to be thrown on`, 'no error', 'The caller must know that it failed.');
    const left = [join(top, a, e), join(top, a, e, f)].filter(isCgroup);
    expectSame(
      `new cgroups after ${fails}`,
      [],
      left,
      'If anything fails, what was made must go again: half a cgroup is worse than none. removeFolders(made).',
    );
    expectSame('the cgroups that were there', way, there(), 'Only what this call made may go.');
  }
}
