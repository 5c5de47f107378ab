import { chainIds, familiarString, parseReference } from '../04-overlayfs/index.ts';
import { isGrpcError } from '../06-shim-containerd/index.ts';
import { conflict } from './api-error.ts';
import { isRunning, shortId } from './container.ts';
import type { Daemon } from './daemon.ts';
import { fullName, isInternal, namelessName, repoTags, SNAPSHOTTER, type LocalImage } from './images.ts';

/** What DELETE /images/NAME answers: names that are gone, and what is gone with the last of them. */
export type Removal = { Untagged: string } | { Deleted: string };

/**
 * Removes a name of an image, or the image with all its names where `reference` is its id; the content goes with the last name.
 * @throws ApiError 409 when a container uses it, or when an id stands for several names, unless forced
 */
export async function removeImage(
  daemon: Daemon,
  image: LocalImage,
  reference: string,
  force: boolean,
): Promise<Removal[]> {
  const byName = image.names.find((name) => isNamed(name, reference));
  const users = daemon.containers.all().filter(({ imageId }) => imageId === image.id);
  const last = byName === undefined || image.names.length === 1;
  const [user] = last ? users.filter((record) => !force || isRunning(record)) : [];
  if (user) {
    const cannot = byName
      ? `unable to remove repository reference "${reference}"`
      : `unable to delete ${shortId(image.id)}`;
    const must = isRunning(user) ? 'cannot be forced' : 'must force';
    throw conflict(
      `conflict: ${cannot} (${must}) - container ${shortId(user.id)} is using its referenced image ${shortId(image.id)}`,
    );
  }
  if (!byName && repoTags(image).length > 1 && !force)
    throw conflict(
      `conflict: unable to delete ${shortId(image.id)} (must be forced) - image is referenced in multiple repositories`,
    );
  const removed: Removal[] = [];
  // A container that does not run still needs the layers below its own.
  if (last && users.length > 0)
    await daemon.containerd.images
      .create({ image: { name: namelessName(image.target.digest), target: image.target } })
      .catch(unless('AlreadyExists'));
  for (const name of byName ? [byName] : image.names) {
    if (last && users.length > 0 && name === namelessName(image.target.digest)) continue;
    await daemon.containerd.images.delete({ name }).catch(unless('NotFound'));
    if (isInternal(name)) continue;
    const Untagged = familiarString(parseReference(name));
    removed.push({ Untagged });
    daemon.events.publish('image', 'untag', image.id, { name: Untagged });
  }
  if (!last || users.length > 0) return removed;
  const deleted = await removeContent(daemon, image);
  daemon.events.publish('image', 'delete', image.id, { name: image.id });
  return [...removed, ...deleted];
}

function isNamed(name: string, reference: string): boolean {
  try {
    return fullName(reference) === name;
  } catch {
    return false;
  }
}

/** Takes away layers and content that no other image has. */
async function removeContent(daemon: Daemon, image: LocalImage): Promise<Removal[]> {
  const { containerd } = daemon;
  const others = await daemon.images.all();
  const keptLayers = new Set(others.flatMap(({ config }) => chainIds(config.rootfs.diff_ids)));
  const keptContent = new Set(others.flatMap(contentOf));
  const removed: Removal[] = [{ Deleted: image.id }];
  for (const key of chainIds(image.config.rootfs.diff_ids).reverse()) {
    if (keptLayers.has(key)) break;
    await containerd.snapshots.remove({ snapshotter: SNAPSHOTTER, key }).catch(unless('NotFound'));
    removed.push({ Deleted: key });
  }
  for (const digest of contentOf(image))
    if (!keptContent.has(digest)) await containerd.content.delete({ digest }).catch(unless('NotFound'));
  return removed;
}

const contentOf = ({ target, manifest }: LocalImage): string[] => [
  target.digest,
  manifest.config.digest,
  ...manifest.layers.map(({ digest }) => digest),
];

const unless =
  (code: 'NotFound' | 'AlreadyExists') =>
  (error: unknown): void => {
    if (!isGrpcError(error, code)) throw error;
  };
