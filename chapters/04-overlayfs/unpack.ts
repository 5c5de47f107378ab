import { closeSync } from 'node:fs';
import { applyLayer } from './apply-layer.ts';
import type { ContentStore } from './content-store.ts';
import { digestHex, type Digest } from './digest.ts';
import { dataLoss, isStoreError } from './errors.ts';
import { chainIds, resolveImage, type Descriptor } from './image.ts';
import type { Labels } from './labels.ts';
import { openMounts } from './mounts.ts';
import type { Snapshotter } from './snapshotter.ts';

/** Layers that this process is unpacking, by snapshotter and chain ID: two images may need the same one at once. */
const unpacking = new WeakMap<Snapshotter, Map<Digest, Promise<void>>>();

/**
 * Makes sure that each layer of an image is a committed snapshot, named by its chain ID, and returns the name of the topmost: the
 * parent of a container's own snapshot. Layers that are there already, from this image or another, are not unpacked again.
 * @throws StoreError NOT_FOUND (a part is missing), DATA_LOSS (a layer is not what the configuration says), INVALID_ARGUMENT (a
 * layer that is refused); nothing half unpacked stays
 */
export async function unpackImage(
  { content, snapshots }: { content: ContentStore; snapshots: Snapshotter },
  target: Descriptor,
): Promise<Digest | ''> {
  const { manifest, config } = await resolveImage(content, target);
  const diffIds = config.rootfs.diff_ids;
  const chain = chainIds(diffIds);
  const busy = unpacking.get(snapshots) ?? new Map<Digest, Promise<void>>();
  unpacking.set(snapshots, busy);
  for (const [i, chainId] of chain.entries()) {
    const layer = {
      descriptor: manifest.layers[i]!,
      diffId: diffIds[i]!,
      chainId,
      parent: chain[i - 1] ?? ('' as const),
    };
    const running = busy.get(chainId) ?? unpackLayer(content, snapshots, layer);
    busy.set(chainId, running);
    try {
      await running;
    } finally {
      busy.delete(chainId);
    }
  }
  return chain.at(-1) ?? '';
}

interface Layer {
  descriptor: Descriptor;
  diffId: Digest;
  chainId: Digest;
  /** The chain ID of those below; empty for the lowest. */
  parent: Digest | '';
}

async function unpackLayer(
  content: ContentStore,
  snapshots: Snapshotter,
  { descriptor, diffId, chainId, parent }: Layer,
): Promise<void> {
  if (await exists(snapshots, chainId)) return;
  const key = `extract-${digestHex(chainId)}`;
  // One of that name is what a process left that was killed in the middle.
  if (await exists(snapshots, key)) await snapshots.remove(key);
  const labels: Labels = { 'containerd.io/snapshot.ref': chainId };
  const mounts = await snapshots.prepare(key, parent, labels);
  try {
    const root = openMounts(mounts);
    try {
      const applied = await applyLayer(content.read(descriptor.digest), root);
      if (applied.diffId !== diffId)
        throw dataLoss(`layer ${descriptor.digest} unpacks to ${applied.diffId}; its image says ${diffId}`);
    } finally {
      closeSync(root);
    }
    await snapshots.commit(chainId, key, labels);
  } catch (error) {
    // If that fails too, the next try removes it; the first error is the one to tell.
    await snapshots.remove(key).catch(() => undefined);
    throw error;
  }
}

async function exists(snapshots: Snapshotter, key: string): Promise<boolean> {
  try {
    await snapshots.stat(key);
    return true;
  } catch (error) {
    if (isStoreError(error, 'NOT_FOUND')) return false;
    throw error;
  }
}
