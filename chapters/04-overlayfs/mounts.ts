import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isErrno } from '../01-processes/index.ts';
import { MNT, mountWithOptions, openTree, setPropagation, umount } from '../02-namespaces/index.ts';
import { mountLayers } from './mount-layers.ts';

/** What is to be mounted where, as containerd says it: the words of fstab(5), not yet the bits of mount(2). */
export interface Mount {
  /** A filesystem of the kernel, or `bind`. */
  type: string;
  /** A directory (bind), a device, or any word. */
  source: string;
  /** Words as after `mount -o`. */
  options: string[];
}

/**
 * Mounts each of `mounts` on the directory `target`, in order, or none: what was mounted is unmounted if a later one fails.
 * Source: mount(2).
 * @param target an absolute path
 * @throws SyscallError; StoreError FAILED_PRECONDITION when there are more layers than the kernel takes
 */
export function mountAll(mounts: readonly Mount[], target: string): void {
  let done = 0;
  try {
    for (const one of mounts) {
      if (one.type === 'overlay') mountLayers(one, target);
      else mountWithOptions({ ...one, target });
      done++;
    }
  } catch (error) {
    for (; done > 0; done--) umount(target, MNT.DETACH);
    throw error;
  }
}

/**
 * Unmounts everything that is mounted on `target`; nothing there is no error. A mount in use goes from view at once, and
 * really when its last user ends (MNT_DETACH). Source: umount2(2).
 */
export function unmountAll(target: string): void {
  for (;;) {
    try {
      umount(target, MNT.DETACH);
    } catch (error) {
      if (isErrno(error, 'EINVAL', 'ENOENT')) return; // no mount point (any more)
      throw error;
    }
  }
}

/**
 * Mounts and gives a handle of the result that hangs nowhere: no path leads there but through the handle, and the kernel takes it
 * away when that is closed, also by the end of the process. To be closed.
 * Source: open_tree(2), Linux 5.2.
 * @param furnish mounts more inside the directory that it is given, which is in the handle too
 * @throws SyscallError, StoreError as mountAll; what `furnish` throws
 */
export function openMounts(mounts: readonly Mount[], furnish?: (root: string) => void): number {
  const target = mkdtempSync(join(tmpdir(), 'mount-'));
  try {
    mountAll(mounts, target);
    try {
      furnish?.(target);
      return openTree(target, { recursive: furnish !== undefined });
    } finally {
      // What is bound inside may be shared with where it comes from: taken away here, it must not go there, too.
      setPropagation(target, 'rprivate');
    }
  } finally {
    unmountAll(target);
    rmdirSync(target);
  }
}
