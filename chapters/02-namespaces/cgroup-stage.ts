import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readCgroups, readMountinfo, type Pid } from '../01-processes/index.ts';

// Just enough of cgroups to show their namespace: a group of one's own. What they are for is chapter 3.

/** A new cgroup, in whichever tree this machine has. */
export interface OwnCgroup {
  /** Its folder. */
  folder: string;
  join(pid: number): void;
  /** The path that this /proc gives for a process, in the tree of the group. */
  pathOf(pid: Pid): string;
  /** Once nobody is in it. */
  remove(): void;
}

/** Makes one at the top of the tree; `undefined` on a machine on which no cgroup tree is mounted. */
export function makeCgroup(name: string): OwnCgroup | undefined {
  const mounts = readMountinfo('self')!;
  const v2 = mounts.find(({ type }) => type === 'cgroup2');
  const v1 = mounts.find(({ type, superOptions }) => type === 'cgroup' && superOptions.includes('pids'));
  const tree = v2 ?? v1;
  if (!tree) return undefined;
  const folder = join(tree.mountPoint, name);
  mkdirSync(folder);
  return {
    folder,
    join: (pid) => writeFileSync(join(folder, 'cgroup.procs'), String(pid)),
    pathOf: (pid) =>
      readCgroups(pid)!.find(({ hierarchy, controllers }) =>
        v2 ? hierarchy === 0 : controllers.includes('pids'),
      )!.path,
    remove: () => rmdirSync(folder),
  };
}
