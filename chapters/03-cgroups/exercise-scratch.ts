import { existsSync, mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  CannotCheck,
  fork,
  getpid,
  isErrno,
  kill,
  readMountinfo,
  SIGNALS,
  type MountInfo,
  type Trial,
} from '../01-processes/index.ts';
import { MNT, mount, umount } from '../02-namespaces/index.ts';
import { readControl, writeControl } from './control-file.ts';
import type { Controller } from './controllers.ts';
import { pidsIn, sleep, treeOf, until } from './folders.ts';

// Cgroups for the checks of this chapter, made by mkdir alone: a check must not need what it judges.

/**
 * A cgroup of the check's own at the top of a tree, with a random name. It is taken away after the check, with everybody in it, thawed
 * if need be: cgroups, unlike mounts and processes, do not go with the namespaces of the check.
 */
export function scratch(t: Trial, top: string): string {
  const folder = join(top, `check-${t.word()}`);
  try {
    mkdirSync(folder);
  } catch (error) {
    if (!isErrno(error, 'EROFS', 'EACCES', 'EPERM')) throw error;
    throw new CannotCheck(`no cgroup can be made: ${String(error)}`, 'be root, and outside of containers');
  }
  t.cleanup(() => void until(() => takenAway(folder), 5000));
  return folder;
}

/** The top of the tree whose cgroups have this controller's files. @throws CannotCheck when there is none */
export function treeWith(controller: Controller): string {
  const mounts = cgroupMounts();
  const v1 = mounts.find((m) => m.type === 'cgroup' && m.superOptions.includes(controller));
  if (v1) return v1.mountPoint;
  const v2 = mounts.find((m) => m.type === 'cgroup2')?.mountPoint;
  const control = v2 && join(v2, 'cgroup.subtree_control');
  if (control && readControl(control)?.split(' ').includes(controller)) return v2;
  throw new CannotCheck(
    `no cgroup of this machine has the ${controller} controller`,
    control && readControl(join(v2, 'cgroup.controllers'))?.split(' ').includes(controller)
      ? `echo +${controller} | sudo tee ${control}`
      : 'use the virtual machine in vagrant/, or a kernel with this controller: npm run doctor',
  );
}

/** The top of the tree of v2: every kernel has one, also where only trees of v1 are mounted. Then it is mounted for the check. */
export function treeOfV2(t: Trial): string {
  const mounted = cgroupMounts().find((m) => m.type === 'cgroup2')?.mountPoint;
  if (mounted) return mounted;
  const target = t.folder();
  mount({ source: 'cgroup2', target, type: 'cgroup2' });
  t.cleanup(() => umount(target, MNT.DETACH));
  return target;
}

/** The mounts of cgroup trees that this process can reach. @throws CannotCheck when there are none */
export function cgroupMounts(): MountInfo[] {
  const mounts = readMountinfo()!.filter(
    ({ type, mountPoint }) => type.startsWith('cgroup') && existsSync(join(mountPoint, 'cgroup.procs')),
  );
  if (mounts.length > 0) return mounts;
  throw new CannotCheck(
    'no tree of cgroups is mounted',
    'sudo mount -t cgroup2 cgroup2 /sys/fs/cgroup, or boot with systemd',
  );
}

/** Moves this process into a cgroup. */
export const enter = (folder: string): void => writeControl(join(folder, 'cgroup.procs'), String(getpid()));

/** Starts a process that is in the cgroup when this returns, and does nothing; the cgroup may be frozen. */
export function memberOf(folder: string): number {
  const pid = fork(() => {
    enter(folder);
    sleep(1_000_000);
  });
  if (!until(() => pidsIn(folder).includes(pid), 5000)) throw new Error(`no process could join ${folder}`);
  return pid;
}

function takenAway(folder: string): boolean {
  try {
    for (const each of treeOf(folder)) {
      for (const [file, thawed] of [
        ['freezer.state', 'THAWED'],
        ['cgroup.freeze', '0'],
      ] as const)
        if (existsSync(join(each, file))) writeControl(join(each, file), thawed);
      for (const pid of pidsIn(each)) kill(pid, SIGNALS['SIGKILL']!);
      rmdirSync(each);
    }
    return true;
  } catch {
    return !existsSync(folder); // someone is still dying: asked again
  }
}
