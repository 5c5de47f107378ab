import { isErrno, readMountinfo } from '../01-processes/index.ts';
import { parseMountOptions } from './mount-options.ts';
import { mount, mountSetattr, MOUNT_ATTR, MS, umount, MNT } from './mount.ts';

/** A mount as config.json, containerd and `docker -v` describe it. */
export interface MountRequest {
  source: string;
  target: string;
  /** `bind`, or nothing, together with the option `bind` or `rbind`. */
  type?: string;
  options?: readonly string[];
}

/** What a remount of a bind mount may set: the flags of the mount point. The others belong to the filesystem below it. */
const PER_MOUNT =
  MS.RDONLY |
  MS.NOSUID |
  MS.NODEV |
  MS.NOEXEC |
  MS.NOATIME |
  MS.NODIRATIME |
  MS.RELATIME |
  MS.STRICTATIME |
  MS.NOSYMFOLLOW;

/**
 * Mounts with options as a person writes them: `['rbind', 'ro', 'nosuid', 'rslave', 'size=64k']`. This takes up to four
 * calls: the mount; for a bind its flags, which the first call ignores; the propagation; the recursive attributes. When a
 * later call fails, the mount is taken away again.
 * @throws SyscallError from the call that was refused; RangeError from mount
 */
export function mountWithOptions({ source, target, type, options = [] }: MountRequest): void {
  const parsed = parseMountOptions(options);
  const isRemount = (parsed.flags & MS.REMOUNT) !== 0;
  const isBind = (parsed.flags & MS.BIND) !== 0 || type === 'bind';
  if (isBind && !isRemount) mount({ source, target, flags: MS.BIND | (parsed.flags & MS.REC) });
  else
    mount({
      source,
      target,
      flags: parsed.flags,
      ...(type === undefined ? {} : { type }),
      ...(parsed.data === '' ? {} : { data: parsed.data }),
    });
  try {
    const flags = parsed.flags & PER_MOUNT;
    if (isBind && !isRemount && (flags !== 0 || parsed.cleared !== 0))
      remountBind(target, flags, parsed.cleared);
    for (const propagation of parsed.propagation) mount({ target, flags: propagation });
    if (parsed.recursive) mountSetattr(target, { ...parsed.recursive, recursive: true });
  } catch (error) {
    if (!isRemount) umount(target, MNT.DETACH);
    throw error;
  }
}

/**
 * Sets a bind mount's flags, and keeps those that it has already (unless `cleared` asks otherwise): in a user namespace the kernel
 * has locked them, and answers EPERM to a remount that would drop one.
 */
export function remountBind(target: string, flags: number, cleared = 0): void {
  const again = { source: target, target, type: 'bind' };
  const kept = currentFlags(target) & ~cleared;
  try {
    mount({ ...again, flags: MS.REMOUNT | MS.BIND | flags | withoutClashes(kept, flags) });
  } catch (error) {
    if (!isErrno(error, 'EPERM') || cleared === 0) throw error;
    // What was to be cleared is locked: that is no reason to refuse the rest.
    mount({ ...again, flags: MS.REMOUNT | MS.BIND | flags | withoutClashes(currentFlags(target), flags) });
  }
}

const ATIME = MS.NOATIME | MS.RELATIME | MS.STRICTATIME;

/** Flags that are kept beside new ones; of the access time flags only one can be. */
function withoutClashes(kept: number, flags: number): number {
  return flags & ATIME ? kept & ~ATIME : kept;
}

/** The flags of the mount at `target` (the topmost there). */
function currentFlags(target: string): number {
  const there = readMountinfo()?.findLast(({ mountPoint }) => mountPoint === target);
  return parseMountOptions(there?.options ?? []).flags;
}

/** Makes a mount read-only with all that is mounted below it. @throws SyscallError ENOSYS before Linux 5.12 */
export function makeReadOnly(target: string): void {
  mountSetattr(target, { set: MOUNT_ATTR.RDONLY, recursive: true });
}
