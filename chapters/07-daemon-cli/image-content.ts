import { randomBytes } from 'node:crypto';
import { chainIds } from '../04-overlayfs/index.ts';
import { isGrpcError, type ContainerdClient } from '../06-shim-containerd/index.ts';
import type { ArchivedImage } from './image-archive.ts';
import { SNAPSHOTTER } from './images.ts';

/** Pieces in which content is sent. Bytes. */
const PIECE = 1 << 20;

/** Writes a blob into the content store, and says its digest. It may be there already. @throws GrpcError */
export async function writeBlob(
  containerd: ContainerdClient,
  source: AsyncIterable<Buffer> | Iterable<Buffer>,
  size: number,
  lease: string,
): Promise<string> {
  const ref = `load-${randomBytes(8).toString('hex')}`;
  const call = containerd.content.write({ lease });
  let offset = 0;
  try {
    for await (const chunk of source)
      for (let at = 0; at < chunk.length; at += PIECE) {
        const data = chunk.subarray(at, at + PIECE);
        await call.send({ action: 'WRITE', ref, offset, data });
        await call.next();
        offset += data.length;
      }
    await call.send({ action: 'COMMIT', ref, total: size, offset });
    const answer = await call.next();
    return answer!.digest;
  } catch (error) {
    // What was written stays until it is thrown away: a client might come back for it.
    call.cancel();
    await containerd.content.abort({ ref }).catch(() => undefined);
    // "content sha256:… already exists": the digest is all that was wanted.
    const present =
      isGrpcError(error, 'AlreadyExists') && /sha256:[0-9a-f]{64}/.exec((error as Error).message);
    if (present) return present[0];
    throw error;
  } finally {
    call.end();
    call.cancel();
  }
}

/** Labels that say what content needs: without them containerd's garbage collection would take it away. */
export async function labelReferences(
  containerd: ContainerdClient,
  { target, manifest, config }: ArchivedImage,
): Promise<void> {
  const label = async (digest: string, labels: Record<string, string>): Promise<void> => {
    await containerd.content.update({
      info: { digest, labels },
      updateMask: { paths: Object.keys(labels).map((name) => `labels.${name}`) },
    });
  };
  const gc = 'containerd.io/gc.ref';
  await label(target.digest, {
    [`${gc}.content.config`]: manifest.config.digest,
    ...Object.fromEntries(manifest.layers.map(({ digest }, i) => [`${gc}.content.l.${i}`, digest])),
  });
  const top = chainIds(config.rootfs.diff_ids).at(-1);
  if (top) await label(manifest.config.digest, { [`${gc}.snapshot.${SNAPSHOTTER}`]: top });
}

/** Makes a committed snapshot of each layer that has none yet, from the lowest up. @throws GrpcError; Error for a false diffID */
export async function unpack(
  containerd: ContainerdClient,
  { manifest, config }: Pick<ArchivedImage, 'manifest' | 'config'>,
  lease: string,
): Promise<void> {
  let parent = '';
  const names = chainIds(config.rootfs.diff_ids);
  for (const [index, name] of names.entries()) {
    if (!(await exists(containerd, name)))
      await unpackLayer(containerd, manifest.layers[index]!, config.rootfs.diff_ids[index]!, {
        name,
        parent,
        lease,
      });
    parent = name;
  }
}

async function unpackLayer(
  containerd: ContainerdClient,
  layer: { mediaType: string; digest: string; size: number },
  diffId: string,
  { name, parent, lease }: { name: string; parent: string; lease: string },
): Promise<void> {
  const key = `extract-${randomBytes(8).toString('hex')} ${name}`;
  const { mounts } = await containerd.snapshots.prepare({ snapshotter: SNAPSHOTTER, key, parent }, { lease });
  try {
    const { mediaType, digest, size } = layer;
    const { applied } = await containerd.diff.apply({ diff: { mediaType, digest, size }, mounts });
    if (applied.digest !== diffId)
      throw new Error(`layer ${digest} unpacks to ${applied.digest}, and the image says ${diffId}`);
    await containerd.snapshots.commit({ snapshotter: SNAPSHOTTER, key, name }, { lease });
  } catch (error) {
    await containerd.snapshots.remove({ snapshotter: SNAPSHOTTER, key }).catch(() => undefined);
    if (!isGrpcError(error, 'AlreadyExists')) throw error; // somebody else was faster
  }
}

async function exists(containerd: ContainerdClient, key: string): Promise<boolean> {
  try {
    await containerd.snapshots.stat({ snapshotter: SNAPSHOTTER, key });
    return true;
  } catch (error) {
    if (isGrpcError(error, 'NotFound')) return false;
    throw error;
  }
}
