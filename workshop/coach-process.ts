import { accessSync, closeSync, constants, openSync, readSync } from 'node:fs';
import { readStat, readStatus } from '../chapters/01-processes/index.ts';
import type { Rule } from './coach-rule.ts';
import { can, firstMissing, isDirectory, isThere, mountOf, textOf } from './coach-machine.ts';

// The life of a process: fork(2), execve(2), waitpid(2), kill(2), setsid(2).

const FORK = ['fork', 'clone', 'clone3'];
const EXEC = ['execve'];

export const processRules: readonly Rule[] = [
  {
    calls: FORK,
    codes: ['ENOMEM'],
    says: 'The PID 1 of the pid namespace that children are to be made in has ended, and with it the namespace: it takes no process any more. Keep the first child alive as long as the others are needed, or unshare again in a new process.',
  },
  {
    calls: FORK,
    codes: ['EAGAIN'],
    says: () =>
      `A limit of processes is reached: pids.max of the cgroup or one above it, or RLIMIT_NPROC of the user (${/Max processes +(\S+)/.exec(textOf('/proc/self/limits'))?.[1]}). Look whether children are left that nobody waits for, then raise the limit.`,
  },
  {
    calls: EXEC,
    codes: ['ENOENT'],
    when: ({ paths }) => !isThere(paths[0]),
    says: ({ paths }) =>
      `There is no such program here: ${firstMissing(paths[0]!)} is missing. execve searches no PATH, and the path begins at the root that this process has now, which may be the container's.`,
  },
  {
    calls: EXEC,
    codes: ['ENOENT'],
    says: ({ paths }) =>
      `${paths[0]} is there, but not what runs it: ${interpreterOf(paths[0]!) ?? 'the loader of its libraries'} is missing in this root. Put it there, or use a static program such as busybox.`,
  },
  {
    calls: EXEC,
    codes: ['EACCES'],
    when: ({ paths }) => isDirectory(paths[0]),
    says: ({ paths }) => `${paths[0]} is a directory. Give the path of a program.`,
  },
  {
    calls: EXEC,
    codes: ['EACCES'],
    when: ({ paths }) => mountOf(paths[0]!).options.includes('noexec'),
    says: ({ paths }) =>
      `${paths[0]} lies on ${mountOf(paths[0]!).mountPoint}, which is mounted noexec. Mount it without that option, or put the program elsewhere.`,
  },
  {
    calls: EXEC,
    codes: ['EACCES'],
    when: ({ paths }) => !isExecutable(paths[0]!),
    says: ({ paths }) => `${paths[0]} may not be executed by this user: it has no x bit. Set it: chmod 755.`,
  },
  {
    calls: EXEC,
    codes: ['ENOEXEC'],
    says: ({ paths }) =>
      `The kernel does not know the format of ${paths[0]}: neither an ELF file for this processor nor a script that begins with #!. Add the #! line, or run it through a shell.`,
  },
  {
    calls: EXEC,
    codes: ['E2BIG'],
    says: 'Arguments and environment together are too long; a single one may have 128 KiB. Pass what is long through a file or a pipe.',
  },
  {
    calls: EXEC,
    codes: ['ETXTBSY'],
    says: ({ paths }) =>
      `${paths[0]} is open for writing, so it can not be run. Close it first; a forked child may hold it too.`,
  },
  {
    calls: ['waitpid', 'wait4', 'waitid'],
    codes: ['ECHILD'],
    when: ({ subject }) => readStat(Number(subject)) !== undefined,
    says: ({ subject }) =>
      `Process ${subject} exists but is no child of this one: its parent is ${readStat(Number(subject))!.ppid}. Only the parent can wait for it; a child made by a child is a grandchild.`,
  },
  {
    calls: ['waitpid', 'wait4', 'waitid'],
    codes: ['ECHILD'],
    says: ({ subject }) =>
      `There is no process ${subject} any more: it has been waited for already, and an exit status is given once. Keep what the first waitpid returned.`,
  },
  {
    calls: ['kill'],
    codes: ['ESRCH'],
    says: ({ subject }) =>
      `There is no process ${subject.split(' ')[0]} that this process can see: it has ended and was waited for, or the number is that of another pid namespace. Take the number as this side sees it.`,
  },
  {
    calls: ['kill'],
    codes: ['EPERM'],
    when: () => !can('CAP_KILL'),
    says: ({ subject }) => {
      const pid = Number(subject.split(' ')[0]);
      return `Process ${pid} is of user ${readStatus(pid)?.uid.real ?? 'unknown'}, this one of user ${readStatus('self')!.uid.real} without CAP_KILL. Send the signal from a process that has the right.`;
    },
  },
  {
    calls: ['kill'],
    codes: ['EINVAL'],
    says: 'There is no signal of this number: they go from 1 to 64, and 0 only asks whether the process is there. Use SIGNALS for the numbers.',
  },
  {
    calls: ['setsid'],
    codes: ['EPERM'],
    when: () => readStat('self')!.pgrp === readStat('self')!.pid,
    says: 'This process leads a process group already, and such a one can not begin a session. Fork, and call setsid in the child.',
  },
];

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What stands behind `#!`. */
function interpreterOf(path: string): string | undefined {
  const fd = openSync(path, 'r');
  try {
    const start = Buffer.alloc(256);
    return /^#!\s*(\S+)/.exec(start.toString('latin1', 0, readSync(fd, start)))?.[1];
  } finally {
    closeSync(fd);
  }
}
