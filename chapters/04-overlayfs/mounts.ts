import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { isErrno } from '../01-processes/index.ts';
import { MNT, mountWithOptions, openTree, umount } from '../02-namespaces/index.ts';
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

/** The kernel copies one page of options. */
const DATA_LIMIT = 4095;

/**
 * Mounts each of `mounts` on the directory `target`, in order, or none: what was mounted is unmounted if a later one fails.
 * Source: mount(2).
 * @param target an absolute path
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

/**
 * Mounts and gives a handle of the result that hangs nowhere: no path leads there but through the handle, and the kernel takes it
 * away when that is closed, also by the end of the process. To be closed.
 * Source: open_tree(2), Linux 5.2.
 * @throws SyscallError, StoreError as mountAll
 */
export function openMounts(mounts: readonly Mount[]): number {
  const target = mkdtempSync(join(tmpdir(), 'mount-'));
  try {
    mountAll(mounts, target);
    return openTree(target);
  } finally {
    unmountAll(target);
    rmdirSync(target);
  }
}

/**
 * One mount, with options that may be longer than the kernel takes, which happens from about fifty layers on: then their paths
 * are given from the directory above all of them, as containerd does too.
 */
function mountOne(mount: Mount, target: string): void {
  if (mount.type !== 'overlay' || Buffer.byteLength(mount.options.join()) <= DATA_LIMIT)
    return mountWithOptions({ ...mount, target });
  const lower = mount.options.find((option) => option.startsWith('lowerdir='))?.slice('lowerdir='.length);
  const layers = lower?.split(':') ?? [];
  const common = commonDirectory(layers);
  const options = mount.options.map((option) => option.replaceAll(common, ''));
  const length = Buffer.byteLength(options.join());
  if (length > DATA_LIMIT)
    throw failedPrecondition(
      `mount on ${JSON.stringify(target)}: ${layers.length} layers need ${length} bytes of options; the kernel takes ${DATA_LIMIT}`,
    );
  const before = process.cwd();
  process.chdir(common);
  try {
    mountWithOptions({ ...mount, options, target });
  } finally {
    process.chdir(before);
  }
}

/** The directory above all `paths`, with a slash at its end. */
function commonDirectory(paths: readonly string[]): string {
  let common = dirname(paths[0] ?? '/');
  while (common !== '/' && !paths.every((path) => path.startsWith(`${common}/`))) common = dirname(common);
  return common === '/' ? '/' : `${common}/`;
}
