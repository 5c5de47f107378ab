import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  CannotCheck,
  execve,
  expectSame,
  expectThat,
  fork,
  getpid,
  isErrno,
  parseMountinfoLine,
  waitpid,
  Wrong,
  type Exercise,
  type Trial,
} from '../01-processes/index.ts';
import { createCgroup } from './create.ts';
import type { Cgroup } from './cgroup.ts';
import { layoutOf } from './detect.ts';
import { deviceList } from './devices.ts';
import { makeFolders } from './folders.ts';
import { killAll } from './kill.ts';
import { swapOnly } from './v2-limits.ts';

export const exercises: readonly Exercise[] = [
  {
    gap: '03.1',
    task: 'Say from the list of mounts how this machine lays out its cgroups: v1, v2 or hybrid.',
    hints: [
      'The type of the mount tells the version: cgroup is v1, cgroup2 is v2. What makes a machine v2 is that no controller is on v1.',
      'For v1 the controllers stand in superOptions, between other words; isController() knows them. A named tree has name=… and none.',
      'Collect hierarchies {mountPoint, controllers, name?} of type cgroup, each once. If any has a controller: hybrid with a cgroup2 mount, else v1. Otherwise v2, with controllersOf(unified).',
    ],
    check: checkLayout,
    wrong: [
      {
        mistake: 'takes every machine with a cgroup2 mount for v2',
        code: `const unified = mounts.find(({ type }) => type === 'cgroup2')?.mountPoint;
if (unified) return { layout: 'v2', hierarchies: [], controllers: (controllersOf(unified) ?? []).filter(isController), unified };
const hierarchies: Hierarchy[] = mounts.map((mount) => ({ mountPoint: mount.mountPoint, controllers: mount.superOptions.filter(isController) }));
if (hierarchies.length > 0) return { layout: 'v1', hierarchies, controllers: hierarchies.flatMap((h) => h.controllers) };`,
        diagnosis: 'v2 tree beside v1',
      },
      {
        mistake: 'takes one controller for each tree',
        code: `const hierarchies: Hierarchy[] = [];
for (const mount of mounts.filter(({ type }) => type === 'cgroup')) {
  const controllers = mount.superOptions.filter(isController).slice(0, 1);
  const name = mount.superOptions.find((option) => option.startsWith('name='))?.slice(5);
  if (hierarchies.some((h) => h.controllers.join() === controllers.join() && h.name === name)) continue;
  hierarchies.push({ mountPoint: mount.mountPoint, controllers, ...(name && { name }) });
}
const unified = mounts.find(({ type }) => type === 'cgroup2')?.mountPoint;
if (hierarchies.some(({ controllers }) => controllers.length > 0))
  return { layout: unified ? 'hybrid' : 'v1', hierarchies, controllers: hierarchies.flatMap(({ controllers }) => controllers), ...(unified && { unified }) };
if (unified) return { layout: 'v2', hierarchies: [], controllers: (controllersOf(unified) ?? []).filter(isController), unified };`,
        diagnosis: 'share a tree',
      },
      {
        mistake: 'counts a named tree as a reason for v1',
        code: `const hierarchies: Hierarchy[] = [];
for (const mount of mounts.filter(({ type }) => type === 'cgroup')) {
  const controllers = mount.superOptions.filter(isController);
  const name = mount.superOptions.find((option) => option.startsWith('name='))?.slice(5);
  if (hierarchies.some((h) => h.controllers.join() === controllers.join() && h.name === name)) continue;
  hierarchies.push({ mountPoint: mount.mountPoint, controllers, ...(name && { name }) });
}
const unified = mounts.find(({ type }) => type === 'cgroup2')?.mountPoint;
if (hierarchies.length > 0)
  return { layout: unified ? 'hybrid' : 'v1', hierarchies, controllers: hierarchies.flatMap(({ controllers }) => controllers), ...(unified && { unified }) };
if (unified) return { layout: 'v2', hierarchies: [], controllers: (controllersOf(unified) ?? []).filter(isController), unified };`,
        diagnosis: 'only groups',
      },
    ],
  },
  {
    gap: '03.2',
    task: 'Make a folder and those above it, from the top down, and take back what was made if anything fails.',
    hints: [
      'Half a cgroup is worse than none: whoever makes several things must be able to unmake them.',
      'mkdir(2) says EEXIST for what was there already: that is no error here, and it is not ours to remove.',
      'Go through path.slice(1).split("/"), join, mkdirSync; push to `made` only if mkdir did not say EEXIST; call each(folder). In catch: removeFolders(made), and throw on.',
    ],
    check: checkMakeFolders,
    wrong: [
      {
        mistake: 'leaves what it made when something fails',
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
        diagnosis: 'still there',
      },
      {
        mistake: 'removes folders of others too',
        code: `const all: string[] = [];
const made: string[] = [];
let folder = top;
try {
  for (const name of path.slice(1).split('/')) {
    folder = join(folder, name);
    all.push(folder);
    try {
      mkdirSync(folder);
      made.push(folder);
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
    }
    each(folder);
  }
  return made;
} catch (error) {
  removeFolders(all);
  throw error;
}`,
        diagnosis: 'not yours',
      },
      {
        mistake: 'fails where a folder is there already',
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
  },
  {
    gap: '03.3',
    task: 'Turn the spec’s limit on memory and swap together into v2’s limit on swap alone.',
    hints: [
      'docker run -m 100m --memory-swap 300m leaves 200 MB of swap: the second number counts both.',
      'Three values are special: 0 says that nothing was given, -1 is unlimited, and a limit on both without one on memory cannot be split.',
      'swap 0: undefined, or -1 if limit is -1. Either one -1: swap as it is. limit 0: throw a RangeError. Otherwise String(swap - limit), as text, so that 0 is written.',
    ],
    check: checkSwapOnly,
    wrong: [
      {
        mistake: 'takes the number as it is',
        code: `if (swap === 0) return limit === -1 ? -1 : undefined;
if (swap > 0 && limit === 0) throw new RangeError('give memory.limit too');
return swap === -1 ? -1 : String(swap);`,
        diagnosis: 'counts memory too',
      },
      {
        mistake: 'takes no swap at all for nothing to write',
        code: `if (swap === 0) return limit === -1 ? -1 : undefined;
if (swap === -1 || limit === -1) return swap;
if (limit === 0) throw new RangeError('give memory.limit too');
return swap === limit ? undefined : String(swap - limit);`,
        diagnosis: 'no swap at all',
      },
      {
        mistake: 'forgets that -1 is unlimited',
        code: `if (swap === 0) return limit === -1 ? -1 : undefined;
if (limit === 0) throw new RangeError('give memory.limit too');
return String(swap - limit);`,
        diagnosis: 'unlimited',
      },
    ],
  },
  {
    gap: '03.4',
    task: 'Follow device rules in order, as the kernel’s v1 controller does.',
    hints: [
      'There is a ground, all allowed or all denied, and exceptions from it. At first all is allowed.',
      'A rule of type a sets the ground and forgets the exceptions. Any other rule adds letters to the exception for exactly its numbers, or takes some away.',
      'Find the exception with the same type, major and minor. If rule.allow equals the ground: remove its letters from there; else: add them. Drop an exception that has no letters left.',
    ],
    check: checkDeviceList,
    wrong: [
      {
        mistake: 'keeps old exceptions when all is denied',
        code: `const list: DeviceList = { allowAll: true, exceptions: [] };
for (const { allow, type, major, minor, access } of rules.map(fullRule)) {
  if (type === 'a') {
    list.allowAll = allow;
    continue;
  }
  const same = list.exceptions.find((e) => e.type === type && e.major === major && e.minor === minor);
  const before = same?.access ?? '';
  const letters = [...'rwm'].filter((l) => allow === list.allowAll ? before.includes(l) && !access.includes(l) : before.includes(l) || access.includes(l));
  list.exceptions = list.exceptions.filter((e) => e !== same);
  if (letters.length > 0) list.exceptions.push({ type, major, minor, access: letters.join('') });
}
return list;`,
        diagnosis: 'forgets',
      },
      {
        mistake: 'lists the same device twice',
        code: `let list: DeviceList = { allowAll: true, exceptions: [] };
for (const { allow, type, major, minor, access } of rules.map(fullRule)) {
  if (type === 'a') list = { allowAll: allow, exceptions: [] };
  else if (allow !== list.allowAll) list.exceptions.push({ type, major, minor, access });
  else list.exceptions = list.exceptions.filter((e) => !(e.type === type && e.major === major && e.minor === minor));
}
return list;`,
        diagnosis: 'come together',
      },
      {
        mistake: 'drops the whole exception when a part of it is taken back',
        code: `let list: DeviceList = { allowAll: true, exceptions: [] };
for (const { allow, type, major, minor, access } of rules.map(fullRule)) {
  if (type === 'a') {
    list = { allowAll: allow, exceptions: [] };
    continue;
  }
  const same = list.exceptions.find((e) => e.type === type && e.major === major && e.minor === minor);
  list.exceptions = list.exceptions.filter((e) => e !== same);
  if (allow === list.allowAll) continue;
  const letters = [...'rwm'].filter((l) => (same?.access ?? '').includes(l) || access.includes(l));
  list.exceptions.push({ type, major, minor, access: letters.join('') });
}
return list;`,
        diagnosis: 'only the letters',
      },
    ],
  },
  {
    gap: '03.5',
    task: 'End every process of a cgroup, also those that are born meanwhile, and return when none is left.',
    hints: [
      'A list of processes is old when you have read it. One that has forked since has a child that is not on it.',
      'cgroup.kill ends all at one blow, where it is. Elsewhere: freeze, so that nobody can fork, kill, and thaw, because a frozen process does not die in v1.',
      'const gone = until(() => { cgroup.kill if it exists; const left = pids(); if none return true; freeze; kill each, ignoring ESRCH; thaw; return pids().length === 0 }, 10_000);',
    ],
    check: checkKillAll,
    wrong: [
      {
        mistake: 'kills the list once',
        code: `for (const pid of pids()) ignoring(() => kill(pid, SIGNALS['SIGKILL']!), 'ESRCH');
void [atOneBlow, freeze, existsSync, writeControl, until];
const gone = true;`,
        diagnosis: 'born while',
      },
      {
        mistake: 'stumbles over a process that has just ended',
        code: `const gone = until(() => {
  for (const pid of pids()) kill(pid, SIGNALS['SIGKILL']!);
  return pids().length === 0;
}, 10_000);
void [atOneBlow, freeze, existsSync, writeControl];`,
        diagnosis: 'ended meanwhile',
      },
      {
        mistake: 'does not thaw',
        code: `freeze?.(true);
for (const pid of pids()) ignoring(() => kill(pid, SIGNALS['SIGKILL']!), 'ESRCH');
for (const pid of pids()) ignoring(() => kill(pid, SIGNALS['SIGKILL']!), 'ESRCH');
void [atOneBlow, existsSync, writeControl, until];
const gone = true;`,
        diagnosis: 'frozen',
      },
    ],
  },
];

function checkLayout(t: Trial): void {
  const at = `/sys/fs/${t.word()}`;
  const mount = (type: string, folder: string, options: string): string =>
    `${t.number(20, 90)} 1 0:${t.number(20, 90)} / ${at}/${folder} rw - ${type} ${type} rw,${options}`;
  const layout = (lines: string[], controllers: string[] = []) =>
    layoutOf(lines.map(parseMountinfoLine), () => controllers);

  const all = ['cpu', 'memory', 'pids'];
  expectSame(
    'one cgroup2 mount',
    { layout: 'v2', hierarchies: [], controllers: all, unified: `${at}/` },
    layout([mount('cgroup2', '', 'nsdelegate')], all),
    'With one tree of v2 the controllers are those that its cgroup.controllers lists.',
  );
  const memory = mount('cgroup', 'memory', 'memory');
  const hybrid = [mount('cgroup2', 'unified', 'x'), memory];
  expectSame(
    'a v1 controller, and a cgroup2 mount',
    'hybrid',
    layout(hybrid).layout,
    'A v2 tree beside v1 controllers does not make the machine v2: the limits are on v1.',
  );
  expectSame('a v1 controller alone', 'v1', layout([memory]).layout, 'Without a cgroup2 mount it is v1.');
  const shared = [mount('cgroup', 'cpu,cpuacct', 'cpu,cpuacct'), memory];
  expectSame(
    'controllers, two of them on one mount',
    ['cpu', 'cpuacct', 'memory'],
    layout(shared).controllers,
    'Several controllers may share a tree: superOptions names them all.',
  );
  expectSame(
    'a tree that is mounted twice',
    1,
    layout([memory, memory.replace('memory rw', 'again rw')]).hierarchies.length,
    'The same tree may be mounted in two places; it is still one tree.',
  );
  expectSame(
    'a named tree, and a cgroup2 mount',
    'v2',
    layout([mount('cgroup', 'systemd', 'xattr,name=systemd'), mount('cgroup2', '', 'x')], all).layout,
    'A named tree of v1 only groups: it has no controllers, and they are on v2.',
  );
}

function checkMakeFolders(t: Trial): void {
  const top = t.folder();
  const names = [t.word(), t.word(), t.word()];
  const folders = names.map((_, i) => join(top, ...names.slice(0, i + 1)));
  const path = `/${names.join('/')}`;
  mkdirSync(folders[0]!);
  const seen: string[] = [];
  let made: string[];
  try {
    made = makeFolders(top, path, (folder) => void seen.push(folder));
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
    throw new Wrong({
      expected: 'a folder that is there already to be used',
      observed: 'EEXIST',
      cause: 'mkdir says EEXIST for a folder that is there already: that is no error here.',
    });
  }
  expectSame('the folders that `each` saw', folders, seen, 'Every folder on the way, from the top down.');
  expectSame('what was made', folders.slice(1), made, 'Only those that mkdir has made, topmost first.');

  // A folder that is not ours, and empty, so that nothing but care protects it.
  const theirs = join(top, t.word());
  mkdirSync(theirs);
  try {
    makeFolders(top, theirs.slice(top.length), () => {
      throw new Error('expected by the check');
    });
  } catch (error) {
    if ((error as Error).message !== 'expected by the check') throw error;
  }
  expectThat(
    existsSync(theirs),
    `${theirs} as it was`,
    'removed',
    'That folder was there before, and is not yours to remove.',
  );

  const second = [names[0]!, t.word(), t.word()];
  const [, below, last] = second.map((_, i) => join(top, ...second.slice(0, i + 1)));
  try {
    makeFolders(top, `/${second.join('/')}`, (folder) => {
      if (folder === last) throw new Error('expected by the check');
    });
  } catch (error) {
    if ((error as Error).message !== 'expected by the check') throw error;
  }
  expectThat(
    !existsSync(below!),
    `no ${below}`,
    'it is there',
    'What was made is still there after a failure.',
  );
}

function checkSwapOnly(t: Trial): void {
  const limit = t.number(1000, 9000);
  const more = t.number(1, 9000);
  expectSame(
    `limit ${limit}, swap ${limit + more}`,
    String(more),
    swapOnly({ limit, swap: limit + more }),
    'The spec’s number counts memory too: subtract it.',
  );
  expectSame(
    `limit ${limit}, swap ${limit}`,
    '0',
    swapOnly({ limit, swap: limit }),
    'That is no swap at all, and must be written: as text, because the number 0 means "not given".',
  );
  const unlimited = '-1 is unlimited, and nothing is subtracted from it.';
  expectSame(`limit ${limit}, swap -1`, -1, swapOnly({ limit, swap: -1 }), unlimited);
  expectSame('limit -1, no swap', -1, swapOnly({ limit: -1 }), unlimited);
  expectSame(`limit ${limit}, no swap`, undefined, swapOnly({ limit }), 'Nothing was asked for.');
  try {
    swapOnly({ swap: more });
  } catch (error) {
    if (error instanceof RangeError) return;
    throw error;
  }
  throw new Wrong({
    expected: 'a RangeError for swap without a limit on memory',
    observed: 'a value',
    cause: 'Without a limit on memory there is nothing to subtract.',
  });
}

function checkDeviceList(t: Trial): void {
  const major = t.number(1, 200);
  const minor = t.number(0, 200);
  const device = { type: 'c', major, minor } as const;
  expectSame('no rules', { allowAll: true, exceptions: [] }, deviceList([]), 'A new cgroup denies nothing.');
  expectSame(
    `allow c ${major}:${minor}, then deny all`,
    [],
    deviceList([{ allow: false }, { ...device, allow: true }, { allow: false }]).exceptions,
    'A rule for all devices forgets the exceptions that were there before.',
  );
  expectSame(
    'r allowed, then w allowed',
    [{ ...device, access: 'rw' }],
    deviceList([
      { allow: false },
      { ...device, allow: true, access: 'r' },
      { ...device, allow: true, access: 'w' },
    ]).exceptions,
    'Letters for the same device come together in one exception: asking for rw must find both.',
  );
  expectSame(
    'rwm allowed, then w denied',
    [{ ...device, access: 'rm' }],
    deviceList([{ allow: false }, { ...device, allow: true }, { ...device, allow: false, access: 'w' }])
      .exceptions,
    'A rule takes back only the letters that it names.',
  );
  expectSame(
    'one device denied, all others allowed',
    { allowAll: true, exceptions: [{ ...device, access: 'rwm' }] },
    deviceList([{ ...device, allow: false }]),
    'On open ground, what is denied is the exception.',
  );
}

function checkKillAll(t: Trial): void {
  const path = `/ch03-${t.word()}`;
  let cgroup: Cgroup;
  try {
    cgroup = createCgroup(path);
  } catch (error) {
    if (!isErrno(error, 'EROFS', 'EACCES', 'EPERM')) throw error;
    throw new CannotCheck(`no cgroup can be made: ${(error as Error).message}`, 'npm run doctor');
  }
  const children: number[] = [];
  t.cleanup(() => {
    cgroup.thaw();
    for (let left; (left = cgroup.pids()).length > 0;) for (const pid of left) endOf(pid);
    for (const pid of children) quietly(() => waitpid(pid));
    cgroup.remove();
  });
  const start = (): void => {
    const pid = fork(() => {
      cgroup.add(getpid());
      execve('/bin/sleep', ['sleep', '1000'], []);
    });
    children.push(pid);
    while (!cgroup.pids().includes(pid));
  };
  const gone = fork(() => 0);
  waitpid(gone);
  start();
  start();
  // The list as a program sees it: old as soon as it is read. One process is born after the first look, one has ended.
  let looks = 0;
  const pids = (): number[] => {
    const list = cgroup.pids();
    if (looks++ > 0) return list;
    start();
    return [...list, gone];
  };
  const freeze = (on: boolean): void => (on ? cgroup.freeze() : cgroup.thaw());
  try {
    killAll(path, { pids, freeze });
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error;
    throw new Wrong({
      expected: 'a process that is gone to be passed over',
      observed: (error as Error).message,
      cause: 'A process on the list has ended meanwhile: kill says ESRCH, and that is what you wanted.',
    });
  }
  expectThat(
    !cgroup.frozen(),
    'the cgroup thawed',
    'frozen',
    'You left the cgroup frozen: in v1 a frozen process does not die until it is thawed.',
  );
  expectSame(
    'processes in the cgroup',
    0,
    cgroup.pids().length,
    'One was born while you were killing: look again until none is left.',
  );
}

const endOf = (pid: number): void => quietly(() => process.kill(pid, 'SIGKILL'));

function quietly(action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!isErrno(error, 'ESRCH', 'ECHILD')) throw error;
  }
}
