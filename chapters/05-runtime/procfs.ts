import { closeSync, constants, fstatSync, openSync, statfsSync, writeSync } from 'node:fs';
import { fdPath, O_PATH, openInRoot } from '../02-namespaces/index.ts';

/** f_type of a procfs. Source: statfs(2). */
const PROC_SUPER_MAGIC = 0x9fa0;
/** The inode of a procfs's root, of every one. Source: <linux/proc_ns.h>, PROC_ROOT_INO. */
const PROC_ROOT_INODE = 1;

/** Whether a path is the root of a procfs: not a folder of the image's that looks like one, and no part of a procfs either. */
export function isProcfs(fd: number): boolean {
  return statfsSync(fdPath(fd)).type === PROC_SUPER_MAGIC && fstatSync(fd).ino === PROC_ROOT_INODE;
}

/**
 * The host's /proc as a descriptor (O_PATH), to be closed. Of use after the root has changed, when no path leads there.
 * @throws Error when something else is mounted there
 */
export function openProcfs(): number {
  const fd = openSync('/proc', O_PATH | constants.O_DIRECTORY);
  if (isProcfs(fd)) return fd;
  closeSync(fd);
  throw new Error('/proc is no procfs: this runtime cannot tell the kernel anything');
}

/**
 * Writes to a file of the kernel's, and surely to it. An order that lands in another file reaches nobody: the container would run without its
 * AppArmor profile (CVE-2019-16884), or the value would go where someone wants it (CVE-2025-52881). So the way begins at a descriptor that is
 * known to be a procfs, and enters no other mount.
 * @throws SyscallError EXDEV when something is mounted in the way
 */
export function writeProcfs(proc: number, path: string, value: string): void {
  const fd = openInRoot(proc, path, { flags: constants.O_WRONLY, sameMount: true });
  try {
    writeSync(fd, value);
  } finally {
    closeSync(fd);
  }
}
