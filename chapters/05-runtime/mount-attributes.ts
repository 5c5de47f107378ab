import { isErrno } from '../01-processes/index.ts';
import { mountSetattr, MOUNT_ATTR, MS, type ParsedMountOptions } from '../02-namespaces/index.ts';

/** Gives a detached tree its flags, propagation and recursive attributes. */
export function setAttributes(tree: number, options: ParsedMountOptions): void {
  const set = attributes(options.flags);
  const clear = attributes(options.cleared) | (options.flags & ANY_ATIME ? MOUNT_ATTR._ATIME : 0);
  try {
    if (set || clear) mountSetattr(tree, { set, clear });
  } catch (error) {
    if (!isErrno(error, 'EPERM') || !clear) throw error;
    // In a user namespace flags of the original are locked: what was to be cleared stays.
    mountSetattr(tree, { set });
  }
  for (const propagation of options.propagation)
    mountSetattr(tree, { propagation: propagation & ~MS.REC, recursive: (propagation & MS.REC) !== 0 });
  if (options.recursive) mountSetattr(tree, { ...options.recursive, recursive: true });
}

const ANY_ATIME = MS.NOATIME | MS.RELATIME | MS.STRICTATIME;

/** Flags of mount(2) as attributes of mount_setattr(2). Relative access time is the attribute 0. */
function attributes(flags: number): number {
  const pairs = [
    [MS.RDONLY, MOUNT_ATTR.RDONLY],
    [MS.NOSUID, MOUNT_ATTR.NOSUID],
    [MS.NODEV, MOUNT_ATTR.NODEV],
    [MS.NOEXEC, MOUNT_ATTR.NOEXEC],
    [MS.NODIRATIME, MOUNT_ATTR.NODIRATIME],
    [MS.NOSYMFOLLOW, MOUNT_ATTR.NOSYMFOLLOW],
    [MS.NOATIME, MOUNT_ATTR.NOATIME],
    [MS.STRICTATIME, MOUNT_ATTR.STRICTATIME],
  ] as const;
  return pairs.reduce((all, [flag, attribute]) => (flags & flag ? all | attribute : all), 0);
}
