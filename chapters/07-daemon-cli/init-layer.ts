import { closeSync, statSync, symlinkSync } from 'node:fs';
import { posix } from 'node:path';
import { isErrno } from '../01-processes/index.ts';
import { fdPath, mkdirAllInRoot, touchInRoot } from '../02-namespaces/index.ts';
import { openMounts } from '../04-overlayfs/index.ts';
import { isGrpcError, type Mount } from '../06-shim-containerd/index.ts';
import type { OciMount } from '../05-runtime/index.ts';
import type { Daemon } from './daemon.ts';
import { SNAPSHOTTER } from './images.ts';

/** The name of a container's init layer. */
export const initKey = (id: string): string => `${id}-init`;
/** The same while it is being filled. */
const preparingKey = (id: string): string => `${id}-preparing`;

/** The container that a layer was made for, by the layer's name. */
export const ownerOfLayer = (key: string): string => key.replace(/-(init|preparing)$/, '');

/**
 * Makes the layer between image and container that Docker calls the init layer: the empty files and directories on which /proc,
 * /etc/hosts and the like are mounted. So they are not among what the container has changed: neither `docker diff` nor `docker commit`
 * sees them. Says how the container's own layer above it is mounted.
 */
export async function prepareLayers(
  { containerd }: Daemon,
  id: string,
  { parent, mounts, labels }: { parent: string; mounts: readonly OciMount[]; labels: Record<string, string> },
): Promise<Mount[]> {
  const { snapshots } = containerd;
  const key = preparingKey(id);
  const init = await snapshots.prepare({ snapshotter: SNAPSHOTTER, key, parent, labels });
  const handle = openMounts(init.mounts);
  try {
    for (const mount of mounts) makeMountPoint(handle, mount, mounts);
    // Two more of Docker's: by the first programs tell that they are in a container, by the second what is mounted.
    closeSync(touchInRoot(handle, '/.dockerenv'));
    linkMtab(handle);
  } finally {
    closeSync(handle);
  }
  await snapshots.commit({ snapshotter: SNAPSHOTTER, name: initKey(id), key, labels });
  return (await snapshots.prepare({ snapshotter: SNAPSHOTTER, key: id, parent: initKey(id), labels })).mounts;
}

/** Removes a container's layers, the upper one first. Those that are gone are no error. */
export async function removeLayers({ containerd }: Pick<Daemon, 'containerd'>, id: string): Promise<void> {
  for (const key of [id, preparingKey(id), initKey(id)])
    await containerd.snapshots.remove({ snapshotter: SNAPSHOTTER, key }).catch((error: unknown) => {
      if (!isGrpcError(error, 'NotFound')) throw error;
    });
}

/** /etc/mtab, which old programs read, leads to the kernel's own list; unless the image has one. */
function linkMtab(root: number): void {
  const etc = mkdirAllInRoot(root, '/etc');
  try {
    symlinkSync('/proc/mounts', fdPath(etc, 'mtab'));
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
  } finally {
    closeSync(etc);
  }
}

/** An empty file or directory where there is nothing. What lies inside another mount is made there, by the runtime. */
function makeMountPoint(
  root: number,
  { destination, source, type }: OciMount,
  all: readonly OciMount[],
): void {
  const path = posix.resolve('/', destination);
  if (all.some((other) => path.startsWith(`${posix.resolve('/', other.destination)}/`))) return;
  // The daemon's own files are written when the container starts: a source that is not there yet is one of them.
  const isFile = type === 'bind' && !statSync(source ?? '', { throwIfNoEntry: false })?.isDirectory();
  closeSync(isFile ? touchInRoot(root, path) : mkdirAllInRoot(root, path));
}
