import { dirname } from 'node:path';
import { isErrno } from '../01-processes/index.ts';
import { MNT, mount, MS, umount } from './kernel-mount.ts';
import { failedPrecondition } from './errors.ts';

/** What is to be mounted where, as containerd says it: the words of fstab(5), not yet the bits of mount(2). */
export interface Mount {
  /** A filesystem of the kernel, or `bind`. */
  type: string;
  /** A directory (bind), a device, or any word. */
  source: string;
  /** Words as after `mount -o`. */
  options: string[];
}

/** What a word of `mount -o` sets or clears. Every other word is the filesystem's own. Source: mount(8). */
const FLAGS: Record<string, { set?: number; clear?: number }> = {
  bind: { set: MS.BIND },
  rbind: { set: MS.BIND | MS.REC },
  ro: { set: MS.RDONLY },
  rw: { clear: MS.RDONLY },
  nosuid: { set: MS.NOSUID },
  suid: { clear: MS.NOSUID },
  nodev: { set: MS.NODEV },
  dev: { clear: MS.NODEV },
  noexec: { set: MS.NOEXEC },
  exec: { clear: MS.NOEXEC },
  sync: { set: MS.SYNCHRONOUS },
  async: { clear: MS.SYNCHRONOUS },
  dirsync: { set: MS.DIRSYNC },
  noatime: { set: MS.NOATIME },
  atime: { clear: MS.NOATIME },
  nodiratime: { set: MS.NODIRATIME },
  diratime: { clear: MS.NODIRATIME },
  relatime: { set: MS.RELATIME },
  norelatime: { clear: MS.RELATIME },
  strictatime: { set: MS.STRICTATIME },
  nostrictatime: { clear: MS.STRICTATIME },
  defaults: {},
};

/** The kernel copies one page of options. */
const DATA_LIMIT = 4095;

/**
 * Mounts each of `mounts` on the directory `target`, in order, or none: what was mounted is unmounted if a later one fails.
 * Source: mount(2).
 * @throws SyscallError; StoreError FAILED_PRECONDITION when there are more layers than fit one page of options
 */
export function mountAll(mounts: readonly Mount[], target: string): void {
  let done = 0;
  try {
    for (const one of mounts) {
      mountOne(one, target);
      done++;
    }
  } catch (error) {
    for (; done > 0; done--) umount(target, MNT.DETACH);
    throw error;
  }
}

/**
 * Unmounts everything that is mounted on `target`; nothing there is no error. A mount in use goes from view at once, and
 * really when its last user ends (MNT_DETACH). Source: umount2(2).
 */
export function unmountAll(target: string): void {
  for (;;) {
    try {
      umount(target, MNT.DETACH);
    } catch (error) {
      if (isErrno(error, 'EINVAL', 'ENOENT')) return; // no mount point (any more)
      throw error;
    }
  }
}

function mountOne({ type, source, options }: Mount, target: string): void {
  const { flags, data } = readOptions(options);
  const bind = type === 'bind' || type === 'rbind' || (flags & MS.BIND) !== 0;
  if (!bind) return mountLayers({ source, target, type, flags }, data);
  mount({ source, target, flags: MS.BIND | (flags & MS.REC) });
  // The kernel ignores all other flags on the call that binds; a second one, on the new mount, sets them.
  const rest = flags & ~(MS.BIND | MS.REC);
  if (rest === 0) return;
  try {
    mount({ source, target, flags: MS.REMOUNT | MS.BIND | rest });
  } catch (error) {
    umount(target, MNT.DETACH);
    throw error;
  }
}

function readOptions(options: readonly string[]): { flags: number; data: string } {
  let flags = 0;
  const data: string[] = [];
  for (const option of options) {
    const flag = Object.hasOwn(FLAGS, option) ? FLAGS[option]! : undefined;
    if (!flag) data.push(option);
    else flags = (flags | (flag.set ?? 0)) & ~(flag.clear ?? 0);
  }
  return { flags, data: data.join(',') };
}

/**
 * Mounts with options that may be longer than the kernel takes, which happens from about fifty layers on: then their paths are
 * given from the directory above all of them, as containerd does too.
 */
function mountLayers(
  call: { source: string; target: string; type: string; flags: number },
  data: string,
): void {
  if (Buffer.byteLength(data) <= DATA_LIMIT) return mount({ ...call, data });
  const lower = /(?:^|,)lowerdir=([^,]*)/.exec(data)?.[1]?.split(':') ?? [];
  const common = `${commonDirectory(lower)}/`;
  const short = data.split(common).join('');
  if (call.type !== 'overlay' || Buffer.byteLength(short) > DATA_LIMIT)
    throw failedPrecondition(
      `mount on ${JSON.stringify(call.target)}: ${lower.length} layers need ${Buffer.byteLength(short)} bytes of options; the kernel takes ${DATA_LIMIT}`,
    );
  const before = process.cwd();
  process.chdir(common);
  try {
    mount({ ...call, data: short });
  } finally {
    process.chdir(before);
  }
}

function commonDirectory(paths: readonly string[]): string {
  let common = dirname(paths[0] ?? '/');
  while (!paths.every((path) => path.startsWith(`${common}/`))) common = dirname(common);
  return common;
}
