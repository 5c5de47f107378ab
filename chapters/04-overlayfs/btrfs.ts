import { closeSync, constants, lstatSync, openSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { checked } from '../01-processes/index.ts';
import { c_btrfs_ioctl } from './syscalls.ts';

/*
 * btrfs keeps every file in a tree of blocks that are never overwritten: a change writes new blocks, up to a new root of the tree. So a
 * copy of the whole tree is one more pointer to its root. A subvolume is such a tree, seen as a directory. Source: linux/btrfs.h,
 * btrfs-subvolume(8).
 */

/** Requests of ioctl(2): a letter of btrfs, a number, and the 4096 bytes of their argument. Source: linux/btrfs.h. */
const BTRFS_IOC_SNAP_CREATE = 0x50009401;
const BTRFS_IOC_SUBVOL_CREATE = 0x5000940e;
const BTRFS_IOC_SNAP_DESTROY = 0x5000940f;
const BTRFS_IOC_SUBVOL_SETFLAGS = 0x4008941a;
const BTRFS_SUBVOL_RDONLY = 2n;
/** The root of every subvolume has this inode number: BTRFS_FIRST_FREE_OBJECTID. */
const ROOT_INODE = 256n;

/** Makes an empty subvolume. @throws SyscallError EEXIST, ENOTTY on another filesystem */
export const createSubvolume = (path: string): void => inParent(path, BTRFS_IOC_SUBVOL_CREATE, -1);

/** Makes a subvolume that has all that `source` has, and shares its blocks. It can be written, also when the source cannot. */
export function snapshotSubvolume(source: string, path: string): void {
  const fd = openSync(source, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    inParent(path, BTRFS_IOC_SNAP_CREATE, fd);
  } finally {
    closeSync(fd);
  }
}

/** Removes a subvolume with all in it, also one that cannot be written. */
export const destroySubvolume = (path: string): void => inParent(path, BTRFS_IOC_SNAP_DESTROY, -1);

/** Nothing in the subvolume can be changed any more, by anyone. */
export function makeReadOnly(path: string): void {
  const flags = Buffer.alloc(8);
  flags.writeBigUInt64LE(BTRFS_SUBVOL_RDONLY);
  onDirectory(path, BTRFS_IOC_SUBVOL_SETFLAGS, flags);
}

/** Whether there is a subvolume of btrfs, which only `destroySubvolume` removes at once. */
export function isSubvolume(path: string): boolean {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stat?.isDirectory() === true && stat.ino === ROOT_INODE;
}

/** A request about a name in a directory: struct btrfs_ioctl_vol_args {fd, name}. */
function inParent(path: string, request: number, fd: number): void {
  const args = Buffer.alloc(4096);
  args.writeBigInt64LE(BigInt(fd));
  args.write(basename(path), 8);
  onDirectory(dirname(path), request, args, path);
}

function onDirectory(dir: string, request: number, args: Buffer, subject = dir): void {
  const fd = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    checked('ioctl', c_btrfs_ioctl(fd, request, 'void *', args), JSON.stringify(subject));
  } finally {
    closeSync(fd);
  }
}
