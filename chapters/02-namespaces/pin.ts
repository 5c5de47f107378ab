import { closeSync, openSync, rmSync } from 'node:fs';
import { mount, MS, umount, MNT } from './mount.ts';
import { isErrno } from '../01-processes/index.ts';

/**
 * Keeps a namespace alive without a process: its file in /proc, bound onto a file of ours, is a reference to it. `ip netns add`
 * does this below /run/netns. A mount namespace can be pinned only from another one, on a mount that is not shared. The kernel sees to it that no
 * two hold each other by their numbers, so that a mount namespace may be refused (EINVAL) from one that is younger.
 * @param path /proc/PID/ns/KIND
 * @param file made if it is not there
 * Source: namespaces(7), "Namespace lifetime".
 * @throws SyscallError of mount; then the file that was made is gone again
 */
export function pinNamespace(path: string, file: string): void {
  closeSync(openSync(file, 'a', 0o444));
  try {
    mount({ source: path, target: file, flags: MS.BIND });
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  }
}

/** Lets go of a pinned namespace, which ends if nobody else holds it, and removes the file. Nothing there: nothing done. */
export function unpinNamespace(file: string): void {
  try {
    umount(file, MNT.DETACH);
  } catch (error) {
    if (!isErrno(error, 'EINVAL', 'ENOENT')) throw error; // EINVAL: no mount point
  }
  rmSync(file, { force: true });
}
