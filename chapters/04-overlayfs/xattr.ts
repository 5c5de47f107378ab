import { constants } from 'node:os';
import { checked, isErrno, lastErrno } from '../01-processes/index.ts';
import { cPath, decodeName } from './file-names.ts';
import { c_lgetxattr, c_llistxattr, c_lsetxattr } from './syscalls.ts';

/** The extended attributes of a file (of a symbolic link: its own). listxattr(2). None where the filesystem has none. */
export function listXattrs(path: string): string[] {
  try {
    const size = checked('llistxattr', c_llistxattr(cPath(path), null, 0), JSON.stringify(path));
    if (size === 0) return [];
    const list = Buffer.alloc(size + 4096);
    const length = checked('llistxattr', c_llistxattr(cPath(path), list, list.length), JSON.stringify(path));
    return decodeName(list.subarray(0, length))
      .split('\0')
      .filter((name) => name !== '')
      .sort();
  } catch (error) {
    if (isErrno(error, 'ENOTSUP')) return [];
    throw error;
  }
}

/** One extended attribute; `undefined` if it is not set. getxattr(2). @throws SyscallError */
export function getXattr(path: string, name: string): Buffer | undefined {
  const subject = `${name} of ${JSON.stringify(path)}`;
  const [file, attribute] = [cPath(path), cPath(name)];
  const size = c_lgetxattr(file, attribute, null, 0);
  // Most files have none: an answer, not an error, and asked of every file of a tree.
  if (size < 0 && NO_ATTRIBUTE.includes(lastErrno())) return undefined;
  const value = Buffer.alloc(checked('lgetxattr', size, subject));
  if (value.length === 0) return value;
  const length = checked('lgetxattr', c_lgetxattr(file, attribute, value, value.length), subject);
  return value.subarray(0, length);
}

const NO_ATTRIBUTE: readonly number[] = [constants.errno.ENODATA, constants.errno.ENOTSUP];

/** Whether an attribute is the system's own: root's `trusted.*`, and what overlayfs keeps for who is not root. No layer carries it. */
export const isReserved = (name: string): boolean =>
  name.startsWith('trusted.') || name.startsWith('user.overlay.');

/** Sets an extended attribute. setxattr(2). @throws SyscallError ENOTSUP where the filesystem has none, EPERM (trusted.* is root's) */
export function setXattr(path: string, name: string, value: Uint8Array): void {
  const subject = `${name} of ${JSON.stringify(path)}`;
  checked('lsetxattr', c_lsetxattr(cPath(path), cPath(name), value, value.length, 0), subject);
}
