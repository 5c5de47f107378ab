import { randomBytes } from 'node:crypto';
import {
  chainIds,
  keepTogether,
  type Descriptor,
  type ImageConfig,
  type Manifest,
} from '../04-overlayfs/index.ts';
import { isGrpcError } from '../06-shim-containerd/index.ts';
import { contentOf } from './content-client.ts';
import type { EngineContainerd } from './storage-driver.ts';

/** An image in the content store. */
export interface StoredImage {
  target: { digest: string };
  manifest: Manifest;
  config: ImageConfig;
}

/** Labels that say what content needs: without them containerd's garbage collection would take it away. */
export async function labelReferences(
  containerd: EngineContainerd,
  { target, config, manifest }: StoredImage,
): Promise<void> {
  await keepTogether(contentOf(containerd), target as Descriptor, config);
  const top = chainIds(config.rootfs.diff_ids).at(-1);
  const label = `containerd.io/gc.ref.snapshot.${containerd.snapshotter}`;
  if (top) await contentOf(containerd).update(manifest.config.digest, { [label]: top }, [`labels.${label}`]);
}

/** Makes a committed snapshot of each layer that has none yet, from the lowest up. @throws GrpcError; Error for a false diffID */
export async function unpack(
  containerd: EngineContainerd,
  { manifest, config }: Pick<StoredImage, 'manifest' | 'config'>,
  lease: string,
  report: (status: 'Extracting' | 'Pull complete', layer: Descriptor) => void = () => undefined,
): Promise<void> {
  let parent = '';
  const names = chainIds(config.rootfs.diff_ids);
  for (const [index, name] of names.entries()) {
    const layer = manifest.layers[index]!;
    if (!(await exists(containerd, name))) {
      report('Extracting', layer);
      await unpackLayer(containerd, layer, config.rootfs.diff_ids[index]!, { name, parent, lease });
      report('Pull complete', layer);
    }
    parent = name;
  }
}

async function unpackLayer(
  containerd: EngineContainerd,
  layer: { mediaType: string; digest: string; size: number },
  diffId: string,
  { name, parent, lease }: { name: string; parent: string; lease: string },
): Promise<void> {
  const key = `extract-${randomBytes(8).toString('hex')} ${name}`;
  const { mounts } = await containerd.snapshots.prepare(
    { snapshotter: containerd.snapshotter, key, parent },
    { lease },
  );
  try {
    const { mediaType, digest, size } = layer;
    const { applied } = await containerd.diff.apply({ diff: { mediaType, digest, size }, mounts });
    if (applied.digest !== diffId)
      throw new Error(`layer ${digest} unpacks to ${applied.digest}, and the image says ${diffId}`);
    await containerd.snapshots.commit({ snapshotter: containerd.snapshotter, key, name }, { lease });
  } catch (error) {
    await containerd.snapshots.remove({ snapshotter: containerd.snapshotter, key }).catch(() => undefined);
    if (!isGrpcError(error, 'AlreadyExists')) throw error; // somebody else was faster
  }
}

async function exists(containerd: EngineContainerd, key: string): Promise<boolean> {
  try {
    await containerd.snapshots.stat({ snapshotter: containerd.snapshotter, key });
    return true;
  } catch (error) {
    if (isGrpcError(error, 'NotFound')) return false;
    throw error;
  }
}
