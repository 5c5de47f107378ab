import { checked, isErrno } from '../01-processes/index.ts';
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
  try {
    const value = Buffer.alloc(checked('lgetxattr', c_lgetxattr(cPath(path), cPath(name), null, 0), subject));
    if (value.length === 0) return value;
    const length = checked('lgetxattr', c_lgetxattr(cPath(path), cPath(name), value, value.length), subject);
    return value.subarray(0, length);
  } catch (error) {
    if (isErrno(error, 'ENODATA', 'ENOTSUP')) return undefined;
    throw error;
  }
}

/** Sets an extended attribute. setxattr(2). @throws SyscallError ENOTSUP where the filesystem has none, EPERM (trusted.* is root's) */
export function setXattr(path: string, name: string, value: Uint8Array): void {
  const subject = `${name} of ${JSON.stringify(path)}`;
  checked('lsetxattr', c_lsetxattr(cPath(path), cPath(name), value, value.length, 0), subject);
}
