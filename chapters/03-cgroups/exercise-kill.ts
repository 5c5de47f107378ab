import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  execve,
  expectSame,
  expectThat,
  fork,
  isErrno,
  waitpid,
  type Exercise,
  type Trial,
} from '../01-processes/index.ts';
import { readControl, writeControl } from './control-file.ts';
import { cgroupMounts, enter, memberOf, scratch, treeOfV2 } from './exercise-scratch.ts';
import { pidsIn, until } from './folders.ts';
import { killAll } from './kill.ts';

export const killing: Exercise = {
  gap: '03.5',
  task: 'End every process of a cgroup, also those that are born while you do it.',
  hints: [
    'Between reading who is there and killing them, others are born and some end by themselves. So: look again until nobody is left.',
    'cgroup.kill in the kernel’s cgroup-v2 document ends all at one blow, where it exists. Elsewhere: freeze, SIGKILL for each, thaw, because a frozen process of v1 dies only when it is thawed. kill(2) says ESRCH for who is gone.',
    'gone = until(() => { if (atOneBlow && existsSync(atOneBlow)) writeControl(atOneBlow, "1"); left = pids(); nobody: true; ignoring(freeze?.(true)); kill each, ignoring ESRCH; ignoring(freeze?.(false)); return pids().length === 0 }, 10_000); if (!gone) throw new Error(path and pids()).',
  ],
  check: checkKillAll,
  wrong: [
    {
      mistake: 'asks politely',
      code: `const gone = until(() => {
  if (atOneBlow && existsSync(atOneBlow)) writeControl(atOneBlow, '1');
  ignoring(() => freeze?.(true));
  for (const pid of pids()) ignoring(() => kill(pid, SIGNALS['SIGTERM']!), 'ESRCH');
  ignoring(() => freeze?.(false));
  return pids().length === 0;
}, 1_000);
if (!gone) throw new Error(\`\${path} still has processes\`);`,
      diagnosis: 'SIGKILL',
    },
    {
      mistake: 'looks once',
      code: `if (atOneBlow && existsSync(atOneBlow)) writeControl(atOneBlow, '1');
const left = pids();
ignoring(() => freeze?.(true));
for (const pid of left) ignoring(() => kill(pid, SIGNALS['SIGKILL']!), 'ESRCH');
ignoring(() => freeze?.(false));`,
      diagnosis: 'born while',
    },
    {
      mistake: 'forgets to thaw',
      code: `const gone = until(() => {
  if (atOneBlow && existsSync(atOneBlow)) writeControl(atOneBlow, '1');
  const left = pids();
  if (left.length === 0) return true;
  ignoring(() => freeze?.(true));
  for (const pid of left) ignoring(() => kill(pid, SIGNALS['SIGKILL']!), 'ESRCH');
  return pids().length === 0;
}, 1_000);
if (!gone) throw new Error(\`\${path} still has processes\`);`,
      diagnosis: 'thaw',
    },
    {
      mistake: 'stumbles over a process that has ended',
      code: `const gone = until(() => {
  if (atOneBlow && existsSync(atOneBlow)) writeControl(atOneBlow, '1');
  const left = pids();
  if (left.length === 0) return true;
  ignoring(() => freeze?.(true));
  for (const pid of left) kill(pid, SIGNALS['SIGKILL']!);
  ignoring(() => freeze?.(false));
  return pids().length === 0;
}, 1_000);
if (!gone) throw new Error(\`\${path} still has processes\`);`,
      diagnosis: 'ESRCH',
    },
    {
      mistake: 'does not use cgroup.kill',
      code: `const gone = until(() => {
  const left = pids();
  if (left.length === 0) return true;
  ignoring(() => freeze?.(true));
  for (const pid of left) ignoring(() => kill(pid, SIGNALS['SIGKILL']!), 'ESRCH');
  ignoring(() => freeze?.(false));
  return pids().length === 0;
}, 1_000);
if (!gone) throw new Error(\`\${path} still has processes\`);`,
      diagnosis: 'cgroup.kill',
    },
  ],
};

function checkKillAll(t: Trial): void {
  // One by one: without a v2 tree, and with a freezer, whichever this machine has.
  const freezer = cgroupMounts().find((m) => m.type === 'cgroup' && m.superOptions.includes('freezer'));
  const folder = scratch(t, freezer?.mountPoint ?? treeOfV2(t));
  const [file, frozen, thawed] = freezer
    ? (['freezer.state', 'FROZEN', 'THAWED'] as const)
    : (['cgroup.freeze', '1', '0'] as const);
  const freeze = (on: boolean): void => {
    writeControl(join(folder, file), on ? frozen : thawed);
    if (on) until(() => readControl(join(folder, file)) === frozen, 2000);
  };
  const stubborn = ignoresTerm(folder);
  const ended = fork(() => 0);
  waitpid(ended);
  const outside = memberOf(scratch(t, treeOfV2(t)));
  expectSame('the processes before', [stubborn], pidsIn(folder), '');

  // Who asks for the list the first time gets one that is old already: a process on it has ended, and one has been born.
  let born: number | undefined;
  const pids = (): number[] => {
    const now = pidsIn(folder);
    if (born !== undefined) return now;
    born = memberOf(folder);
    return [...now, ended];
  };
  const failure = failureOf(() => killAll(folder, { pids, freeze }));
  expectThat(
    !isErrno(failure, 'ESRCH'),
    'every process to be ended',
    String(failure),
    'ESRCH: it ended by itself after you read the list. That is what you wanted: go on with the next.',
  );
  expectSame(
    `${file} afterwards`,
    thawed,
    readControl(join(folder, file)),
    'They are still frozen: thaw them, also to let them die.',
  );
  const left = pidsIn(folder);
  expectThat(
    born === undefined || !left.includes(born),
    'nobody left in the cgroup',
    `process ${born}, which came while the others were killed`,
    'Processes are born while you kill: look again until nobody is left.',
  );
  expectThat(
    !left.includes(stubborn),
    'nobody left in the cgroup',
    `process ${stubborn}, which ignores SIGTERM`,
    'A process may ignore every signal but SIGKILL; and it takes an instant to die: look again until nobody is left.',
  );
  if (failure) throw failure;

  // At one blow: processes that this pid namespace does not see have no number that could be killed.
  const unified = scratch(t, treeOfV2(t));
  if (existsSync(join(unified, 'cgroup.kill'))) {
    memberOf(unified);
    const failed = failureOf(() => killAll(unified, { pids: () => [], unified }));
    if (failed) throw failed;
    expectThat(
      until(() => pidsIn(unified).length === 0, 1000),
      'nobody left in a cgroup of v2 whose processes are in another pid namespace',
      `processes ${pidsIn(unified).join(', ')}`,
      'Who is not seen can not be killed one by one. In the tree of v2 the kernel does it: write 1 to cgroup.kill (`atOneBlow`), if it is there.',
    );
  }
  expectThat(
    existsSync(`/proc/${outside}/fd/0`),
    'a process elsewhere to live',
    'it is gone',
    'Kill only those of this cgroup.',
  );
}

/** Starts a process in the cgroup that ignores SIGTERM, and returns when it does. */
function ignoresTerm(folder: string): number {
  const pid = fork(() => {
    enter(folder);
    execve('/bin/sh', ['sh', '-c', 'trap "" TERM; exec sleep 1000'], ['PATH=/bin:/usr/bin']);
  });
  const ignored = (): bigint =>
    BigInt(`0x${/^SigIgn:\s*(\w+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0}`);
  if (!until(() => (ignored() & (1n << 14n)) !== 0n, 5000)) throw new Error('no shell could be started');
  return pid;
}

function failureOf(action: () => void): Error | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (!(error instanceof Error) || error.name === 'NotImplemented') throw error;
    return error;
  }
}
