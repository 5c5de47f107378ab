import { lstatSync, type BigIntStats, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { checked } from '../01-processes/index.ts';
import { cPath, fsPath } from './file-names.ts';
import { c_mknod } from './syscalls.ts';
import { getXattr, setXattr } from './xattr.ts';

/*
 * How a layer says that something below it is gone. overlayfs writes a character device 0/0 in the place of a deleted file, and
 * an extended attribute on a directory of which nothing below is to be seen. A tar cannot count on root's rights where it is
 * unpacked, so there both are files with names: `.wh.NAME` beside, `.wh..wh..opq` inside.
 * Sources: Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories"; OCI image-spec, layer.md, "Whiteouts".
 */

//#region marks
export const WHITEOUT_PREFIX = '.wh.';
export const OPAQUE_NAME = '.wh..wh..opq';
/** AUFS, the first of Docker's storages, kept its own files under this prefix: never a layer's content. */
export const AUFS_PREFIX = '.wh..wh.';
/** What the names of overlayfs' own attributes begin with. `trusted.*` is root's; without root, mount with `userxattr`. */
export const OVERLAY_ATTRIBUTES = { trusted: 'trusted.overlay.', user: 'user.overlay.' } as const;

const S_IFCHR = 0o020000;

/** Whether this is overlayfs' mark of a deletion: a character device with the number 0/0. */
export const isWhiteout = (stat: Stats | BigIntStats): boolean =>
  stat.isCharacterDevice() && Number(stat.rdev) === 0;

/** Whether nothing of the directories below `path` shows through. */
export const isOpaque = (path: string, attributes: string = OVERLAY_ATTRIBUTES.trusted): boolean =>
  getXattr(path, `${attributes}opaque`)?.toString() === 'y';
//#endregion

/**
 * The spelling for those who may make no devices: an empty file with the attribute `whiteout`, in a directory whose opaque attribute
 * says `x`, for "look closely". The kernel reads it since Linux 6.7, and never writes it.
 */
export const isAttributeWhiteout = (path: string, stat: Stats | BigIntStats, attributes: string): boolean =>
  stat.isFile() &&
  Number(stat.size) === 0 &&
  getXattr(path, `${attributes}whiteout`) !== undefined &&
  getXattr(dirname(path), `${attributes}opaque`)?.toString() === 'x';

/** Puts a whiteout where nothing is. mknod(2). @throws SyscallError EEXIST; EPERM without CAP_MKNOD (since Linux 5.8 not even needed) */
export function makeWhiteout(path: string): void {
  checked('mknod', c_mknod(cPath(path), S_IFCHR, 0), JSON.stringify(path));
}

/** Makes a directory opaque. @throws SyscallError EPERM without CAP_SYS_ADMIN (`trusted.*`) */
export function makeOpaque(path: string, attributes: string = OVERLAY_ATTRIBUTES.trusted): void {
  setXattr(path, `${attributes}opaque`, Buffer.from('y'));
}

/** `lstat`, or `undefined` if nothing is there. */
export function lstatIfAny(path: string): Stats | undefined {
  return lstatSync(fsPath(path), { throwIfNoEntry: false });
}
