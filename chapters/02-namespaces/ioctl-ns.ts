import { closeSync, fstatSync, openSync } from 'node:fs';
import { checked, isErrno } from '../01-processes/index.ts';
import { NAMESPACES, type NamespaceKind } from './namespaces.ts';
import { c_ioctl } from './syscalls.ts';

/** What a namespace's file can be asked. Source: ioctl_ns(2). */
const NS_GET_USERNS = 0xb701;
const NS_GET_PARENT = 0xb702;
const NS_GET_NSTYPE = 0xb703;
const NS_GET_OWNER_UID = 0xb704;

/**
 * Which kind of namespace a file is; `undefined` when it is none.
 * Source: ioctl_ns(2), NS_GET_NSTYPE, which answers with the flag of clone(2).
 * @throws ENOENT, EACCES
 */
export function kindOfFile(path: string): NamespaceKind | undefined {
  const fd = openSync(path, 'r');
  try {
    const flag = checked('ioctl', c_ioctl(fd, NS_GET_NSTYPE, 'void *', null), `NS_GET_NSTYPE of ${path}`);
    return (Object.keys(NAMESPACES) as NamespaceKind[]).find((kind) => NAMESPACES[kind].flag === flag);
  } catch (error) {
    if (isErrno(error, 'ENOTTY')) return undefined; // "not a terminal": what every other file says to a request it does not know
    throw error;
  } finally {
    closeSync(fd);
  }
}

/**
 * The user namespace that owns a namespace: the one that its maker was in. A capability counts for a namespace only if its holder has
 * it there, or further up.
 * @param path /proc/PID/ns/KIND, or a bind mount of it
 * @returns the inode number; `undefined` where it is out of sight, as the owner of the first user namespace is
 * Source: ioctl_ns(2), NS_GET_USERNS.
 */
export const owningUserNamespace = (path: string): number | undefined => relative(path, NS_GET_USERNS);

/** The pid or user namespace in which this one was made, by its inode number. NS_GET_PARENT; other kinds have none. */
export const parentNamespace = (path: string): number | undefined => relative(path, NS_GET_PARENT);

/**
 * Who made a user namespace: the user id, as the caller's user namespace numbers it. That user has every capability in it, from outside
 * too, if he is in its parent. NS_GET_OWNER_UID.
 * @throws SyscallError EINVAL for another kind
 */
export function ownerOf(path: string): number {
  const fd = openSync(path, 'r');
  try {
    const uid = new Uint32Array(1);
    checked('ioctl', c_ioctl(fd, NS_GET_OWNER_UID, 'void *', uid), `NS_GET_OWNER_UID of ${path}`);
    return uid[0]!;
  } finally {
    closeSync(fd);
  }
}

/** The answer is a descriptor of the other namespace's file; its inode is the number that readlink shows. */
function relative(path: string, request: number): number | undefined {
  const fd = openSync(path, 'r');
  try {
    const other = checked('ioctl', c_ioctl(fd, request, 'void *', null), `on ${path}`);
    try {
      return fstatSync(other).ino;
    } finally {
      closeSync(other);
    }
  } catch (error) {
    if (isErrno(error, 'EPERM', 'EINVAL')) return undefined; // beyond what the caller may see; a kind without parents
    throw error;
  } finally {
    closeSync(fd);
  }
}
