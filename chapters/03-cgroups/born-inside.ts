import { closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';
import { fork, isErrno, SyscallError } from '../01-processes/index.ts';
import { clone } from '../02-namespaces/index.ts';
import type { Cgroup } from './cgroup.ts';
import { writeControl } from './control-file.ts';
import { explained } from './join.ts';

/**
 * Makes a child that is in a cgroup from the start, as `fork` does otherwise. `child` must first call `enter`, which throws when the kernel refuses.
 *
 * `cgroup.add` does the same to a process that runs already, and costs ten milliseconds: the kernel stops every fork and every exit of
 * the machine for it, and before that waits until no processor is in the middle of one. Nobody has to wait for a child that is born in
 * a cgroup of v2 (CLONE_INTO_CGROUP, Linux 5.7), nor for a thread that moves itself, by v1's `tasks`.
 * @throws SyscallError EBUSY, EACCES, EOPNOTSUPP as `cgroup.add`
 */
export function forkInto(cgroup: Cgroup, child: (enter: () => void) => number | void): number {
  const { '': unified, ...v1 } = cgroup.paths();
  const threads = [...new Set(Object.values(v1))].map((folder) => join(folder, 'tasks'));
  const enter = (files: readonly string[]) => () => files.forEach((file) => writeControl(file, '0')); // 0: who writes
  if (unified === undefined) return fork(() => child(enter(threads)));
  const folder = openSync(unified, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return clone(0, () => child(enter(threads)), folder);
  } catch (error) {
    if (isErrno(error, 'EINVAL', 'E2BIG', 'ENOSYS'))
      // A kernel that does not know the flag.
      return fork(() => child(enter([...threads, join(unified, 'cgroup.procs')])));
    const named = (errno: number): SyscallError =>
      new SyscallError('clone3 into', errno, JSON.stringify(unified));
    throw error instanceof SyscallError ? explained(named(error.errno), 0) : error;
  } finally {
    closeSync(folder);
  }
}
