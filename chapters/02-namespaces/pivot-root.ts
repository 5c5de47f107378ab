import { closeSync, constants, openSync } from 'node:fs';
import { checked } from '../01-processes/index.ts';
import { mount, umount, MNT, MS } from './mount.ts';
import { c_chroot, c_fchdir, c_pivot_root } from './syscalls.ts';

/**
 * The system call alone: the root mount of this mount namespace becomes `newRoot`, and the old one is mounted at `putOld`.
 * Source: pivot_root(2).
 * @throws SyscallError EINVAL when `newRoot` is no mount point, `putOld` is not below it, or the propagation of the old root, of the new
 * one or of its parent is shared; EBUSY when `newRoot` or `putOld` lies on the mount that is the root now; EPERM
 */
export function pivotRoot(newRoot: string, putOld: string): void {
  const subject = `${JSON.stringify(newRoot)}, old root to ${JSON.stringify(putOld)}`;
  checked('pivot_root', c_pivot_root(newRoot, putOld), subject);
}

/**
 * The root directory of the calling thread. What lies outside stays mounted and can be reached: a process with CAP_SYS_CHROOT walks
 * out (see the lesson). Change the working directory as well, or it stays outside.
 * Source: chroot(2).
 * @throws SyscallError EPERM, ENOENT, ENOTDIR
 */
export function chroot(path: string): void {
  checked('chroot', c_chroot(path), JSON.stringify(path));
}

/** Changes the working directory to that of an open descriptor. Source: fchdir(2). */
export function fchdir(fd: number): void {
  checked('fchdir', c_fchdir(fd), `fd ${fd}`);
}

/**
 * Gives this mount namespace a new root and takes the old one away, whole: afterwards no path leads to anything that is not below
 * `newRoot`, and the working directory is the new root. Only for a process in a mount namespace of its own.
 *
 * `newRoot` need not be a mount point: it is bound onto itself. What was mounted below it comes with it.
 * Source: pivot_root(2), "pivot_root(".", ".")".
 * @throws SyscallError of mount, pivot_root or umount2; before pivot_root nothing but propagation and a bind mount has changed
 */
export function enterRoot(newRoot: string): void {
  //#gap 02.3 enterRoot
  // Nothing that is done here may reach the mount namespace that this one was copied from.
  mount({ target: '/', flags: MS.REC | MS.PRIVATE });
  // The new root must be a mount point, and not the mount that is the root now.
  mount({ source: newRoot, target: newRoot, flags: MS.BIND | MS.REC });
  const oldRoot = openSync('/', constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    process.chdir(newRoot);
    // The old root is put where the new one is, on top of it: no directory for it is needed in the image.
    pivotRoot('.', '.');
    fchdir(oldRoot);
    umount('.', MNT.DETACH);
    process.chdir('/');
  } finally {
    closeSync(oldRoot);
  }
  //#end
}
