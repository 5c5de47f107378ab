import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmdirSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fork, SyscallError } from '../../chapters/01-processes/index.ts';
import { mount, MS, setuid } from '../../chapters/02-namespaces/index.ts';
import { createCgroup, detectCgroups } from '../../chapters/03-cgroups/index.ts';
import { top, explainedApart } from './coach-support.ts';

/** A cgroup of the test's own in the tree that has the controller of processes, and one in that of v2; taken away afterwards. */
function withCgroup(fn: (v1OrV2: string, unified: string) => string | undefined): string | undefined {
  const host = detectCgroups();
  const path = `/coach-${basename(mkdtempSync(join(top, 'g'))).toLowerCase()}`;
  const cgroup = createCgroup(path);
  try {
    return fn(cgroup.paths()['pids']!, join(host.unified ?? '/sys/fs/cgroup', path));
  } finally {
    // Its processes are gone with the child. (A threaded cgroup refuses cgroup.kill.)
    cgroup.remove();
  }
}

const CGROUPS: [title: string, provoke: (pids: string, unified: string) => unknown, expected: string][] = [
  [
    'rmdir with a cgroup below',
    (pids) => (mkdirSync(join(pids, 'child')), rmdirSync(pids)),
    'There are cgroups below it: child',
  ],
  [
    'rmdir with a process inside',
    (pids) => (put(pids, 'cgroup.procs', '0'), rmdirSync(pids)),
    'Processes are still in the cgroup',
  ],
  [
    'a file of a cgroup deleted',
    (pids) => unlinkSync(join(pids, 'cgroup.procs')),
    'can not be deleted one by one',
  ],
  ['mkdir below nothing', (pids) => mkdirSync(join(pids, 'a/b')), 'Make cgroups from the top down'],
  ['mkdir twice', (pids) => mkdirSync(pids), 'There is a cgroup of this name already'],
  [
    'a write to a tree that is mounted read-only',
    (pids) => {
      mount({ source: pids, target: pids, flags: MS.BIND });
      mount({ target: pids, flags: MS.REMOUNT | MS.BIND | MS.RDONLY });
      put(pids, 'pids.max', '5');
    },
    'mounted read-only here',
  ],
  [
    'a write to a cgroup that is missing',
    (pids) => put(join(pids, 'a'), 'pids.max', '5'),
    'does not exist. Make it first',
  ],
  [
    'a limit whose controller is not switched on',
    (_, unified) => (mkdirSync(join(unified, 'child')), put(join(unified, 'child'), 'memory.max', '5')),
    'the controller memory is not switched on',
  ],
  [
    'a controller that the cgroup does not have',
    (_, unified) => (
      mkdirSync(join(unified, 'child')),
      put(join(unified, 'child'), 'cgroup.subtree_control', '+pids')
    ),
    'Switch it on from the top of the tree down',
  ],
  [
    'a controller that nobody knows',
    (_, unified) => put(unified, 'cgroup.subtree_control', '+nonsense'),
    'That is no controller that this kernel knows',
  ],
  [
    'a process in a cgroup below a threaded one',
    (_, unified) => {
      mkdirSync(join(unified, 'child'));
      put(unified, 'cgroup.type', 'threaded');
      put(join(unified, 'child'), 'cgroup.procs', '0');
    },
    'it stands below a threaded one',
  ],
  [
    'a process that is gone',
    (pids) => put(pids, 'cgroup.procs', '4194303'),
    'There is no process 4194303 that the kernel could move',
  ],
  [
    'something that is no process',
    (pids) => put(pids, 'cgroup.procs', 'me'),
    'one process number in one write',
  ],
  [
    'a limit that is no number',
    (pids) => put(pids, 'pids.max', 'many'),
    'pids.max does not take the value "many"',
  ],
  [
    'a cgroup of somebody else',
    (pids) => (setuid(1000), mkdirSync(join(pids, 'child'))),
    'This process may not change that cgroup',
  ],
  [
    'fork at the limit of processes',
    (pids) => {
      put(pids, 'cgroup.procs', '0');
      put(pids, 'pids.max', '1');
      fork(() => 0);
    },
    'A limit of processes is reached',
  ],
];

/** As the layers write a limit: value and file are in the error. */
function put(folder: string, file: string, value: string): void {
  const path = join(folder, file);
  try {
    const fd = openSync(path, constants.O_WRONLY);
    try {
      writeSync(fd, value);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw new SyscallError(
      'write',
      -(error as NodeJS.ErrnoException).errno!,
      `${JSON.stringify(value)} to ${JSON.stringify(path)}`,
    );
  }
}

describe('the coach on cgroups', () => {
  test.each(CGROUPS)('%s', (_title, provoke, expected) => {
    const said = withCgroup((pids, unified) => explainedApart(() => provoke(pids, unified)));
    expect(said).toContain(expected);
  });
});
