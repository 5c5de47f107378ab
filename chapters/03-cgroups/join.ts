import { join } from 'node:path';
import { ifAlive, isErrno, readCgroups, SyscallError } from '../01-processes/index.ts';
import { writeControl } from './control-file.ts';

/** A cgroup's folder in one tree, and how that tree is known in /proc/PID/cgroup. */
export interface Tree {
  folder: string;
  /** Where the tree is mounted. */
  top: string;
  /** Its controllers, or `name=systemd`; nothing for v2's. */
  label: string;
}

/**
 * Moves a process into its cgroup in every tree. If one tree refuses, the process goes back to where it was in those before it: no limit
 * holds by half.
 * @throws Error that says why, with the kernel's own as its cause: the process is gone; the cgroup can have none
 */
export function joinTrees(pid: number, trees: readonly Tree[]): void {
  //#region joinTrees
  const before = readCgroups(pid) ?? [];
  const joined: Tree[] = [];
  try {
    for (const tree of trees) {
      writeControl(join(tree.folder, 'cgroup.procs'), String(pid));
      joined.push(tree);
    }
  } catch (error) {
    for (const { top, label } of joined) {
      const was = before.find(({ controllers }) => controllers.join() === label);
      // It may have ended since, or its old cgroup may have.
      if (was) ifAlive(() => back(join(top, was.path), pid));
    }
    throw explained(error, pid);
  }
  //#endregion
}

function back(folder: string, pid: number): void {
  try {
    writeControl(join(folder, 'cgroup.procs'), String(pid));
  } catch (error) {
    if (!isErrno(error, 'ENODEV')) throw error;
  }
}

/** The kernel's number, in words. */
export function explained(error: unknown, pid: number): unknown {
  if (!(error instanceof SyscallError)) return error;
  const why = REASONS[error.code];
  if (!why) return error;
  return new SyscallError(error.syscall, error.errno, `${error.path} (${why.replace('PID', String(pid))})`);
}

const REASONS: Readonly<Record<string, string>> = {
  ESRCH: 'process PID has ended',
  EBUSY: 'this cgroup hands controllers down to those below it, and so may have no processes itself',
  ENOSPC: 'its cpuset has no processors or no memory nodes',
  EOPNOTSUPP: 'the cgroup is threaded: it takes threads, not processes',
};
