import { closeSync, constants, openSync, readlinkSync, statSync } from 'node:fs';
import { isErrno, readMountinfo } from '../01-processes/index.ts';
import {
  chroot,
  fchdir,
  fdPath,
  MNT,
  mount,
  MOUNT_ATTR,
  mountSetattr,
  MS,
  O_PATH,
  openInRootIfThere,
  openTree,
  pivotRoot,
  PROPAGATION_OPTIONS,
  umount,
} from '../02-namespaces/index.ts';
import { makedev } from './devices.ts';
import { attach, using } from './attach.ts';

/**
 * Makes the root a mount point in this mount namespace, and sees to it that nothing mounted from here on reaches the namespace it was
 * copied from. Returns a descriptor (O_PATH) of the root, to be closed.
 * @param propagation linux.rootfsPropagation; `rslave` where nothing is said: the host's new mounts are seen, ours are not
 * @throws SyscallError
 */
export function prepareRoot(rootfs: string, propagation: string): number {
  mount({ target: '/', flags: PROPAGATION_OPTIONS[propagation || 'rslave']! | MS.REC });
  // pivot_root(2) wants neither the new root nor the mount that it is in to be shared.
  const parent = mountOf(rootfs);
  if (parent?.propagation.some((p) => p.startsWith('shared:')))
    mount({ target: parent.mountPoint, flags: MS.PRIVATE });
  mount({ source: rootfs, target: rootfs, flags: MS.BIND | MS.REC });
  return openSync(rootfs, O_PATH | constants.O_DIRECTORY);
}

/** The mount that a path is in: of those whose mount point leads to it, the deepest, and there the topmost. */
function mountOf(path: string): { mountPoint: string; propagation: string[] } | undefined {
  const leads = (point: string): boolean => point === '/' || path === point || path.startsWith(`${point}/`);
  return (readMountinfo() ?? [])
    .filter(({ mountPoint }) => leads(mountPoint))
    .reduce<{ mountPoint: string; propagation: string[] } | undefined>(
      (best, next) => (best && best.mountPoint.length > next.mountPoint.length ? best : next),
      undefined,
    );
}

/**
 * Gives this mount namespace the prepared root and takes the old one away, whole. Afterwards the working directory is `/`.
 * Source: pivot_root(2), "pivot_root(".", ".")".
 * @throws SyscallError EINVAL where the host's root is the first RAM disk: --no-pivot is for that
 */
export function enterRoot(rootFd: number): void {
  //#region enterRoot
  const oldRoot = openSync('/', constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fchdir(rootFd);
    // The old root lands on top of the new one: so the image needs no directory for it.
    pivotRoot('.', '.');
    fchdir(oldRoot);
    // Unmounting it must not spread to the host's own namespace.
    mount({ target: '.', flags: MS.SLAVE | MS.REC });
    umount('.', MNT.DETACH);
    process.chdir('/');
  } finally {
    closeSync(oldRoot);
  }
  //#endregion
}

/**
 * For --no-pivot: moves the root over the old one and calls chroot(2). The old root stays mounted below; who has CAP_SYS_CHROOT
 * may find a way to it.
 */
export function enterRootByChroot(rootFd: number): void {
  hideKernelFilesystems(readlinkSync(fdPath(rootFd)));
  fchdir(rootFd);
  mount({ source: '.', target: '/', flags: MS.MOVE }); // not by /proc, which is gone
  chroot('.');
  process.chdir('/');
}

/** For a container that shares the mount namespace of the machine, whose root nobody may exchange: chroot(2) is what is left, as for runc. */
export function enterSharedRoot(rootFd: number): void {
  fchdir(rootFd);
  chroot('.');
  process.chdir('/');
}

/**
 * Takes the host's own /proc and /sys out of this mount namespace. As long as one of them is there in full, the kernel lets a user namespace
 * mount it anew, without what the container's has masked. Source: mount_namespaces(7), "mount point … too revealing" in fs/namespace.c.
 */
function hideKernelFilesystems(rootfs: string): void {
  const own = `${rootfs}/`;
  for (const { mountPoint, type } of (readMountinfo() ?? []).reverse()) {
    if ((type !== 'proc' && type !== 'sysfs') || mountPoint.startsWith(own)) continue;
    mount({ target: mountPoint, flags: MS.SLAVE | MS.REC });
    try {
      umount(mountPoint, MNT.DETACH);
    } catch (error) {
      if (!isErrno(error, 'EINVAL', 'EPERM')) throw error;
      // Locked by a user namespace: then it is covered.
      mount({ source: 'tmpfs', target: mountPoint, type: 'tmpfs', flags: MS.RDONLY, data: 'size=0k' });
    }
  }
}

/** root.readonly, after the change of root: this mount alone, not those in it. */
export function makeRootReadOnly(): void {
  mountSetattr('/', { set: MOUNT_ATTR.RDONLY });
}

/** linux.rootfsPropagation, after the change of root: what later mounts inside are to reach. */
export function setRootPropagation(propagation: string): void {
  const flags = PROPAGATION_OPTIONS[propagation];
  if (flags !== undefined) mount({ target: '/', flags });
}

/**
 * Hides a path: a file behind /dev/null, a directory behind an empty read-only tmpfs. What is not there needs no hiding.
 * @throws SyscallError
 */
export function maskPath(rootFd: number, path: string): void {
  //#gap 05.2 maskPath
  const target = openInRootIfThere(rootFd, path);
  if (target === undefined) return;
  using(target, () => {
    if (statSync(fdPath(target)).isDirectory())
      mount({
        source: 'tmpfs',
        target: fdPath(target),
        type: 'tmpfs',
        flags: MS.RDONLY,
        data: 'nr_blocks=1,nr_inodes=1',
      });
    else using(openNull(), (nothing) => attach(nothing, target));
  });
  //#end
}

/**
 * The host's null device, and surely it: looked at after it was opened. The container's own could be a link that the image put there,
 * to whatever was to be hidden (CVE-2025-31133).
 */
function openNull(): number {
  const nothing = openTree('/dev/null');
  if (statSync(fdPath(nothing)).rdev === makedev(1, 3)) return nothing;
  closeSync(nothing);
  throw new Error('/dev/null of this machine is not the null device: nothing can be hidden behind it');
}

/** Makes a path and all that is mounted below it read-only, by a mount of its own. What is not there is passed over. */
export function makePathReadOnly(rootFd: number, path: string): void {
  const target = openInRootIfThere(rootFd, path);
  if (target === undefined) return;
  using(target, () =>
    using(openTree(fdPath(target), { recursive: true }), (tree) => {
      mountSetattr(tree, { set: MOUNT_ATTR.RDONLY, recursive: true });
      attach(tree, target);
    }),
  );
}
