import { randomBytes } from 'node:crypto';
import { MEDIA_TYPE, type Digest } from '../04-overlayfs/index.ts';
import type { Mount } from '../06-shim-containerd/index.ts';
import type { NewLayer } from './make-image.ts';
import type { EngineContainerd } from './storage-driver.ts';

/**
 * Shows `look` what lies below a snapshot, as what it has changed is told by: nothing of an overlay, whose upper directory says it, nor where
 * nothing lies below; otherwise a view of its parent, with which it is compared. The view is gone with the call.
 * @param lease holds the view
 */
export async function withBelow<T>(
  { snapshots, snapshotter }: EngineContainerd,
  { mounts, parent }: { mounts: readonly Mount[]; parent: string },
  lease: string,
  look: (below: Mount[]) => Promise<T>,
): Promise<T> {
  if (parent === '' || mounts[0]?.type === 'overlay') return look([]);
  const view = { snapshotter, key: `below-${randomBytes(8).toString('hex')}` };
  const below = await snapshots.view({ ...view, parent }, { lease });
  try {
    return await look(below.mounts);
  } finally {
    await snapshots.remove(view);
  }
}

/** What a snapshot has changed of its parent as a layer, in the content store. */
export const layerOfSnapshot = (
  containerd: EngineContainerd,
  snapshot: { mounts: readonly Mount[]; parent: string },
  ref: string,
  lease: string,
): Promise<NewLayer> =>
  withBelow(containerd, snapshot, lease, async (left) => {
    const request = { left, right: [...snapshot.mounts], mediaType: MEDIA_TYPE.layer, ref };
    const { diff } = await containerd.diff.diff(request, { lease });
    const { digest, size, annotations } = diff!;
    return {
      descriptor: { mediaType: MEDIA_TYPE.layer, digest: digest as Digest, size },
      diffId: annotations['containerd.io/uncompressed'] as Digest,
    };
  });
