import type { CgroupHost } from './detect.ts';
import type { LinuxResources } from './resources.ts';
import type { CgroupStats } from './stats.ts';

/** A group of processes that the kernel counts and limits together, whichever version of cgroups it has. */
export interface Cgroup {
  /** From the top of each tree: `/mydocker/4f2a…`. */
  path: string;
  layout: CgroupHost['layout'];
  /** Who makes and removes it: this program by itself, in the cgroup file system, or systemd when asked. */
  driver: 'cgroupfs' | 'systemd';
  /**
   * Its folders: by controller on v1, with `name=systemd` for a named tree; the tree of v2 under `''`.
   * (runc keeps the same in its state.json.)
   */
  paths(): Record<string, string>;
  /** Whether it is there. */
  exists(): boolean;
  /** Moves a process in, with all its threads; what it forks from then on is born inside. @throws SyscallError ESRCH when it is gone */
  add(pid: number): void;
  /** Sets limits, or changes them; what is not given stays. @throws RangeError, Error: see `checkResources`, `applyWrites` */
  set(resources: LinuxResources): void;
  stats(): CgroupStats;
  /** Processes in it and in cgroups below it, in the order of their ids. */
  pids(): number[];
  /** Stops every process where it is, without a signal; returns when all have. */
  freeze(): void;
  thaw(): void;
  frozen(): boolean;
  /** Ends every process by SIGKILL, frozen or not, and returns when none is left. */
  kill(): void;
  /** Removes it, and what is below it, from every tree. Nothing happens if it is gone. @throws EBUSY when it has processes */
  remove(): void;
}
