import { checked } from '../01-processes/index.ts';
import { c_mount, c_mount_setattr, c_move_mount, c_open_tree, c_umount2, SYS } from './syscalls.ts';

/** Flags of mount(2). */
export const MS = {
  RDONLY: 1,
  NOSUID: 2,
  NODEV: 4,
  NOEXEC: 8,
  SYNCHRONOUS: 16,
  REMOUNT: 32,
  MANDLOCK: 64,
  DIRSYNC: 128,
  NOSYMFOLLOW: 256,
  NOATIME: 1024,
  NODIRATIME: 2048,
  BIND: 4096,
  MOVE: 8192,
  REC: 16384,
  SILENT: 32768,
  UNBINDABLE: 1 << 17,
  PRIVATE: 1 << 18,
  SLAVE: 1 << 19,
  SHARED: 1 << 20,
  RELATIME: 1 << 21,
  I_VERSION: 1 << 23,
  STRICTATIME: 1 << 24,
  LAZYTIME: 1 << 25,
} as const;

/** Flags of umount2(2). */
export const MNT = { FORCE: 1, DETACH: 2, EXPIRE: 4 } as const;
export const UMOUNT_NOFOLLOW = 8;

/** The kernel copies one page of data and would cut off the rest. */
const DATA_LIMIT = 4095;

/** What mount(2) takes. */
export interface MountCall {
  /** A device, a directory (bind), or any word that is to stand in mountinfo. */
  source?: string;
  target: string;
  /** `proc`, `tmpfs`, `overlay` …; not needed to bind, remount or change propagation. */
  type?: string;
  /** Bits of MS. */
  flags?: number;
  /** The filesystem's own options, with commas. */
  data?: string;
}

/**
 * Mounts a filesystem, binds a directory, remounts, or changes propagation, in the calling thread's mount namespace.
 * The kernel ignores every flag but REC beside BIND: to bind read-only, remount afterwards (see `mountWithOptions`).
 * Source: mount(2).
 * @throws SyscallError EPERM, ENOENT, ENODEV (no such filesystem), EBUSY, EINVAL …; RangeError when the data is longer than a page
 */
export function mount({ source, target, type, flags = 0, data }: MountCall): void {
  if (data !== undefined && Buffer.byteLength(data) > DATA_LIMIT)
    throw new RangeError(
      `mount on ${JSON.stringify(target)}: ${Buffer.byteLength(data)} bytes of options; the kernel takes ${DATA_LIMIT}`,
    );
  const subject = `${JSON.stringify(source ?? type ?? 'none')} on ${JSON.stringify(target)}`;
  checked('mount', c_mount(source ?? null, target, type ?? null, flags, data ?? null), subject);
}

/**
 * Takes a mount away. With MNT.DETACH at once from view, and really when nobody uses it any more.
 * Source: umount2(2).
 * @throws SyscallError EBUSY, EINVAL (not a mount point, or locked by a user namespace), ENOENT
 */
export function umount(target: string, flags = 0): void {
  checked('umount2', c_umount2(target, flags), JSON.stringify(target));
}

const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const AT_RECURSIVE = 0x8000;
const OPEN_TREE_CLONE = 1;
const O_CLOEXEC = 0o2000000;
const MOVE_MOUNT_F_EMPTY_PATH = 4;

/**
 * A copy of a mount (with `recursive`, of the mounts below it too) that hangs nowhere yet: a descriptor, to be passed to
 * `moveMount`, also in another mount namespace, and to be closed.
 * Source: open_tree(2).
 * @throws SyscallError ENOSYS before Linux 5.2
 */
export function openTree(path: string, { recursive = false } = {}): number {
  const flags = OPEN_TREE_CLONE | O_CLOEXEC | (recursive ? AT_RECURSIVE : 0);
  return Number(
    checked('open_tree', c_open_tree(SYS.open_tree, AT_FDCWD, path, flags), JSON.stringify(path)),
  );
}

/** Hangs a mount that `openTree` gave at `target`. Source: move_mount(2). @throws SyscallError */
export function moveMount(fd: number, target: string): void {
  const result = c_move_mount(SYS.move_mount, fd, '', AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH);
  checked('move_mount', result, `fd ${fd} to ${JSON.stringify(target)}`);
}

/** Attributes of mount_setattr(2). The access time is a field of two bits, not a flag. */
export const MOUNT_ATTR = {
  RDONLY: 0x1,
  NOSUID: 0x2,
  NODEV: 0x4,
  NOEXEC: 0x8,
  NOATIME: 0x10,
  STRICTATIME: 0x20,
  _ATIME: 0x70,
  NODIRATIME: 0x80,
  IDMAP: 0x100000,
  NOSYMFOLLOW: 0x200000,
} as const;

/** What mount_setattr(2) changes. */
export interface MountAttributes {
  /** Bits of MOUNT_ATTR. */
  set?: number;
  clear?: number;
  /** MS.PRIVATE, MS.SHARED, MS.SLAVE or MS.UNBINDABLE. */
  propagation?: number;
  /** With IDMAP: a descriptor of the user namespace whose maps the mount takes. */
  userNamespace?: number;
  /** The mounts below it too, all or none. */
  recursive?: boolean;
}

/**
 * Changes attributes of a mount, given by path or by a descriptor of `openTree`.
 * Source: mount_setattr(2).
 * @throws SyscallError ENOSYS before Linux 5.12; EINVAL; EPERM for what a user namespace has locked
 */
export function mountSetattr(mount: string | number, change: MountAttributes): void {
  const attr = Buffer.alloc(32);
  [change.set, change.clear, change.propagation, change.userNamespace].forEach((value, i) =>
    attr.writeBigUInt64LE(BigInt(value ?? 0), i * 8),
  );
  const [dirfd, path] = typeof mount === 'number' ? [mount, ''] : [AT_FDCWD, mount];
  const flags = (path === '' ? AT_EMPTY_PATH : 0) | (change.recursive ? AT_RECURSIVE : 0);
  const result = c_mount_setattr(SYS.mount_setattr, dirfd, path, flags, attr, attr.length);
  checked('mount_setattr', result, typeof mount === 'number' ? `fd ${mount}` : JSON.stringify(mount));
}
