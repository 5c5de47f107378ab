import { closeSync, constants, openSync } from 'node:fs';
import {
  CannotCheck,
  expectSame,
  inChild,
  isErrno,
  type Exercise,
  type Trial,
} from '../01-processes/index.ts';
import { setDeviceProgram } from './device-program.ts';
import { enter, scratch, treeOfV2 } from './exercise-scratch.ts';
import type { DeviceRule } from './resources.ts';

export const devices: Exercise = {
  gap: '03.4',
  task: 'Find out what a list of device rules comes to: all or nothing is allowed, but for some.',
  hints: [
    'There is a ground, all or nothing, and exceptions from it. A rule may change the ground, make or widen an exception, or take one back.',
    'cgroup-v1/devices in the kernel’s documentation. A rule for all (type a) begins anew. A rule whose `allow` is not the ground’s is an exception; one whose `allow` is the ground’s takes its letters from the exception for the very same type, major and minor.',
    'For each fullRule: type a → { allowAll: allow, exceptions: [] }. Else find the same exception; letters = those of rwm that before has and, if allow === allowAll, access has not; otherwise that before or access has. Replace it, or drop it when no letter is left.',
  ],
  check: checkDeviceList,
  wrong: [
    {
      mistake: 'begins with nothing allowed',
      code: `let list: DeviceList = { allowAll: false, exceptions: [] };
for (const { allow, type, major, minor, access } of rules.map(fullRule)) {
  if (type === 'a') list = { allowAll: allow, exceptions: [] };
  else if (allow !== list.allowAll) list.exceptions.push({ type, major, minor, access });
}
return list;`,
      diagnosis: 'denies nothing',
    },
    {
      mistake: 'keeps exceptions when the ground changes',
      code: `const list: DeviceList = { allowAll: true, exceptions: [] };
for (const { allow, type, major, minor, access } of rules.map(fullRule)) {
  if (type === 'a') {
    list.allowAll = allow;
    continue;
  }
  const same = list.exceptions.find((e) => e.type === type && e.major === major && e.minor === minor);
  const before = same?.access ?? '';
  const letters = [...'rwm'].filter((letter) =>
    allow === list.allowAll
      ? before.includes(letter) && !access.includes(letter)
      : before.includes(letter) || access.includes(letter),
  );
  list.exceptions = list.exceptions.filter((e) => e !== same);
  if (letters.length > 0) list.exceptions.push({ type, major, minor, access: letters.join('') });
}
return list;`,
      diagnosis: 'forgets what was before',
    },
    {
      mistake: 'makes an exception of every rule',
      code: `let list: DeviceList = { allowAll: true, exceptions: [] };
for (const { allow, type, major, minor, access } of rules.map(fullRule)) {
  if (type === 'a') list = { allowAll: allow, exceptions: [] };
  else {
    const same = list.exceptions.find((e) => e.type === type && e.major === major && e.minor === minor);
    const letters = [...'rwm'].filter((letter) => \`\${same?.access ?? ''}\${access}\`.includes(letter)).join('');
    list.exceptions = [...list.exceptions.filter((e) => e !== same), { type, major, minor, access: letters }];
  }
}
return list;`,
      diagnosis: 'agrees with the ground',
    },
    {
      mistake: 'makes two exceptions for the same device',
      code: `let list: DeviceList = { allowAll: true, exceptions: [] };
for (const { allow, type, major, minor, access } of rules.map(fullRule)) {
  if (type === 'a') list = { allowAll: allow, exceptions: [] };
  else if (allow !== list.allowAll) list.exceptions.push({ type, major, minor, access });
}
return list;`,
      diagnosis: 'one exception',
    },
    {
      mistake: 'takes the whole exception back for one letter',
      code: `let list: DeviceList = { allowAll: true, exceptions: [] };
for (const { allow, type, major, minor, access } of rules.map(fullRule)) {
  if (type === 'a') {
    list = { allowAll: allow, exceptions: [] };
    continue;
  }
  const same = list.exceptions.find((e) => e.type === type && e.major === major && e.minor === minor);
  list.exceptions = list.exceptions.filter((e) => e !== same);
  const letters = [...'rwm'].filter((letter) => \`\${same?.access ?? ''}\${access}\`.includes(letter)).join('');
  if (allow !== list.allowAll) list.exceptions.push({ type, major, minor, access: letters });
}
return list;`,
      diagnosis: 'only the letters',
    },
  ],
};

/** Devices that everybody may open, on every Linux: character devices with the major number 1. */
const MINORS = { null: 3, zero: 5, full: 7, random: 8, urandom: 9 } as const;
const WAYS = { r: constants.O_RDONLY, w: constants.O_WRONLY, rw: constants.O_RDWR } as const;
const all = (allow: boolean): DeviceRule => ({ allow, type: 'a' });

function checkDeviceList(t: Trial): void {
  const folder = scratch(t, treeOfV2(t));
  const names = Object.keys(MINORS) as (keyof typeof MINORS)[];
  const a = names.splice(t.number(0, 4), 1)[0]!;
  const b = names[t.number(0, 3)]!;
  const rule = (allow: boolean, device: keyof typeof MINORS, access = 'rwm'): DeviceRule => ({
    allow,
    type: 'c',
    major: 1,
    minor: MINORS[device],
    access,
  });
  const everyWay = 'r w rw';
  expectSame('opening without rules', { [a]: everyWay, [b]: everyWay }, opened(t, folder, a, b), '');

  const trial = (rules: DeviceRule[], ofA: string, ofB: string, cause: (ofA: string) => string): void => {
    attach(folder, rules);
    const observed = opened(t, folder, a, b);
    expectSame(
      `after the rules ${say(rules)}, what opens`,
      { [a]: ofA, [b]: ofB },
      observed,
      cause(observed[a]!),
    );
  };
  trial([], everyWay, everyWay, () => 'A new cgroup denies nothing: begin with allowAll.');
  trial(
    [rule(false, b)],
    everyWay,
    'no way',
    () => 'Where all is allowed, a rule that denies is an exception.',
  );
  trial(
    [all(false), rule(true, a)],
    everyWay,
    'no way',
    () => 'Where nothing is allowed, a rule that allows is an exception.',
  );
  trial(
    [all(false), rule(true, a), all(false), rule(true, b)],
    'no way',
    everyWay,
    () => 'A rule for all devices forgets what was before it, also the exceptions.',
  );
  trial(
    [all(false), rule(true, a, 'r'), rule(true, a, 'w')],
    everyWay,
    'no way',
    () =>
      'Two rules for the same numbers are one exception with the letters of both: the kernel asks whether one exception covers all of an opening.',
  );
  trial([all(false), rule(true, a, 'rw'), rule(false, a, 'w')], 'r', 'no way', (ofA) =>
    ofA === 'no way'
      ? 'The rule takes back only the letters that it names.'
      : 'A rule that agrees with the ground is no exception: it takes its letters from the exception for the same numbers.',
  );
  trial(
    [all(false), all(true), rule(false, a, 'w')],
    'r',
    everyWay,
    () => 'A rule for all devices may also allow them, and then exceptions deny.',
  );
}

/** In which ways each device opens, for a process of this cgroup. */
function opened(t: Trial, folder: string, ...names: string[]): Record<string, string> {
  const opens = (name: string, flags: number): boolean => {
    try {
      closeSync(openSync(`/dev/${name}`, flags));
      return true;
    } catch (error) {
      if (isErrno(error, 'EPERM')) return false;
      throw error;
    }
  };
  const tried = (): [string, string][] => {
    enter(folder);
    return names.map((name) => {
      const ways = Object.entries(WAYS).filter(([, flags]) => opens(name, flags));
      return [name, ways.map(([way]) => way).join(' ') || 'no way'];
    });
  };
  return Object.fromEntries(inChild(t, tried).result);
}

function attach(folder: string, rules: DeviceRule[]): void {
  try {
    setDeviceProgram(folder, rules);
  } catch (error) {
    if (rules.length > 0 || !(error instanceof Error) || !error.message.startsWith('device rules'))
      throw error;
    throw new CannotCheck(
      `this kernel takes no device programs: ${String(error.cause)}`,
      'use a kernel with CONFIG_CGROUP_BPF, and be root outside of containers: the virtual machine in vagrant/ is such a place',
    );
  }
}

const say = (rules: DeviceRule[]): string =>
  rules
    .map(
      ({ allow, type, major, minor, access }) =>
        `${allow ? 'allow' : 'deny'} ${type === 'a' ? 'all' : `${type} ${major}:${minor} ${access}`}`,
    )
    .join(', ') || 'none';
