import { openSync } from 'node:fs';
import { join } from 'node:path';
import { execve, fork, getpid, getppid, kill, setsid, waitpid } from '../../chapters/01-processes/index.ts';
import { CLONE, mount, MS, setuid, unshare } from '../../chapters/02-namespaces/index.ts';
import { type Row, explains, made } from './coach-support.ts';

const program = (path: string, ...argv: string[]): never => execve(path, [path, ...argv], []);
const PROCESSES: Row[] = [
  [
    'fork after PID 1 of the namespace has ended',
    () => {
      unshare(CLONE.NEWPID);
      waitpid(fork(() => 0));
      fork(() => 0);
    },
    'The PID 1 of the pid namespace',
  ],
  ['execve of nothing', ({ folder }) => program(join(folder, 'a')), 'execve searches no PATH'],
  [
    'execve of a script whose interpreter is missing',
    ({ folder }) => program(made(join(folder, 'f'), '#!/no/such\n', 0o755)),
    '/no/such is missing in this root',
  ],
  ['execve of a directory', ({ folder }) => program(folder), 'is a directory. Give the path of a program'],
  [
    'execve on a mount without exec',
    ({ folder }) => {
      mount({ source: 'tmpfs', target: folder, type: 'tmpfs', flags: MS.NOEXEC });
      program(made(join(folder, 'f'), '#!/bin/sh\n', 0o755));
    },
    'mounted noexec',
  ],
  [
    'execve of a file without the x bit',
    ({ folder }) => program(made(join(folder, 'f'), '#!/bin/sh\n')),
    'it has no x bit',
  ],
  [
    'execve of what is no program',
    ({ folder }) => program(made(join(folder, 'f'), 'text', 0o755)),
    'neither an ELF file',
  ],
  [
    'execve with an argument that is too long',
    () => program('/bin/true', 'x'.repeat(200_000)),
    'a single one may have 128 KiB',
  ],
  [
    'execve of a file that is open for writing',
    ({ folder }) => {
      const path = made(join(folder, 'f'), '#!/bin/sh\n', 0o755);
      openSync(path, 'a');
      program(path);
    },
    'is open for writing, so it can not be run',
  ],
  ['waitpid for somebody else’s child', () => waitpid(getppid()), 'is no child of this one'],
  [
    'waitpid twice',
    () => {
      const pid = fork(() => 0);
      waitpid(pid);
      waitpid(pid);
    },
    'it has been waited for already',
  ],
  [
    'kill of a process that is gone',
    () => {
      const pid = fork(() => 0);
      waitpid(pid);
      kill(pid, 15);
    },
    'it has ended and was waited for',
  ],
  [
    'kill of another user’s process',
    () => (setuid(1000), kill(getppid(), 15)),
    'is of user 0, this one of user 1000',
  ],
  ['kill with a number that is no signal', () => kill(getpid(), 100), 'There is no signal of this number'],
  ['setsid twice', () => (setsid(), setsid()), 'leads a process group already'],
];

explains('processes', PROCESSES);
