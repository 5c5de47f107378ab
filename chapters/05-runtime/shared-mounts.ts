import { isErrno, readMountinfo } from '../01-processes/index.ts';
import { MNT, umount } from '../02-namespaces/index.ts';
import type { OciSpec } from './spec.ts';

/**
 * A container without a mount namespace of its own mounts what config.json lists in the machine's. runc leaves these mounts behind; here `delete` takes
 * them away again. This remembers which were there before: the ids of the mounts below the root, or `undefined` when they are nobody else's business.
 */
export function mountsBefore(spec: OciSpec, rootfs: string): number[] | undefined {
  if (spec.linux?.namespaces?.some(({ type }) => type === 'mount')) return undefined;
  return mountsBelow(rootfs).map(({ id }) => id);
}

/** Takes away the mounts below the root that were not there before, the last first. */
export function removeMounts(rootfs: string, before: readonly number[] | undefined): void {
  if (!before) return;
  for (const { id, mountPoint } of mountsBelow(rootfs).reverse()) {
    if (before.includes(id)) continue;
    try {
      umount(mountPoint, MNT.DETACH);
    } catch (error) {
      if (!isErrno(error, 'EINVAL', 'ENOENT')) throw error; // gone with the one that it was in
    }
  }
}

const mountsBelow = (rootfs: string): { id: number; mountPoint: string }[] =>
  (readMountinfo() ?? []).filter(({ mountPoint }) => mountPoint.startsWith(`${rootfs}/`));
