import { chainIds, familiarString, parseReference } from '../04-overlayfs/index.ts';
import { isGrpcError } from '../06-shim-containerd/index.ts';
import { conflict } from './api-error.ts';
import { isRunning, shortId } from './container.ts';
import type { Daemon } from './daemon.ts';
import { keepNameless } from './image-names.ts';
import { childrenOf, fullName, isInternal, references, SNAPSHOTTER, type LocalImage } from './images.ts';

/** What DELETE /images/NAME answers: names that are gone, and what is gone with the last of them. */
export type Removal = { Untagged: string } | { Deleted: string };

export interface RemoveOptions {
  force?: boolean;
  /** Images that it was made from go too, where they have no name and nothing else was made from them. */
  prune?: boolean;
}

/**
 * Removes a name of an image, or the image with all its names where `reference` is its id. With the last name the image goes, unless
 * something needs it: a container, or an image that was made from it. Then it stays by its id alone.
 * Source: moby, daemon/images/image_delete.go.
 * @throws ApiError 409 when something needs what would be removed for good, unless forced; what runs cannot be forced
 */
export async function removeImage(
  daemon: Daemon,
  image: LocalImage,
  reference: string,
  { force = false, prune = true }: RemoveOptions = {},
): Promise<Removal[]> {
  const names = references(image);
  const byName = names.find((name) => isNamed(name, reference));
  if (byName === undefined) {
    const obstacle = await conflictOf(daemon, image, { force, namesCount: !isSingle(names) });
    if (obstacle !== undefined) throw conflict(`conflict: unable to delete ${shortId(image.id)} ${obstacle}`);
    return deleteImage(daemon, image, prune);
  }
  const [user] = usersOf(daemon, image);
  if (!force && user && isSingle(names))
    throw conflict(
      `conflict: unable to remove repository reference "${reference}" (must force) - container ${shortId(user.id)} is using its referenced image ${shortId(image.id)}`,
    );
  const gone = goingWith(byName, names);
  if (gone.length < names.length) return untag(daemon, image, gone);
  // Something needs the image: its names go, and it stays.
  if (await conflictOf(daemon, image, { force, namesCount: false })) {
    await keepNameless(daemon, image.target);
    return untag(daemon, image, gone);
  }
  return deleteImage(daemon, image, prune);
}

function isNamed(name: string, reference: string): boolean {
  try {
    return fullName(reference) === name;
  } catch {
    return false;
  }
}

const repositoryOf = (name: string): string => {
  const { domain, path } = parseReference(name);
  return `${domain}/${path}`;
};

/** Whether the names are one tag at most, and digests of that tag's repository. */
function isSingle(names: readonly string[]): boolean {
  const tags = names.filter((name) => !name.includes('@'));
  return tags.length <= 1 && new Set(names.map(repositoryOf)).size <= 1;
}

/** With the last tag in a repository the digests there go too. */
function goingWith(name: string, names: readonly string[]): string[] {
  const others = names.filter((other) => other !== name && repositoryOf(other) === repositoryOf(name));
  return name.includes('@') || others.some((other) => !other.includes('@')) ? [name] : [name, ...others];
}

const usersOf = ({ containers }: Daemon, { id }: LocalImage) =>
  containers.all().filter(({ imageId }) => imageId === id);

/** Why an image cannot be removed, in Docker's words; nothing where it can. */
async function conflictOf(
  daemon: Daemon,
  image: LocalImage,
  { force, namesCount }: { force: boolean; namesCount: boolean },
): Promise<string | undefined> {
  if (childrenOf(await daemon.images.all(), image.id).length > 0)
    return '(cannot be forced) - image has dependent child images';
  const users = usersOf(daemon, image);
  const running = users.find(isRunning);
  if (running) return `(cannot be forced) - image is being used by running container ${shortId(running.id)}`;
  if (force) return undefined;
  if (namesCount && references(image).length > 0)
    return '(must be forced) - image is referenced in multiple repositories';
  if (users[0]) return `(must be forced) - image is being used by stopped container ${shortId(users[0].id)}`;
  return undefined;
}

async function untag(daemon: Daemon, image: LocalImage, names: readonly string[]): Promise<Removal[]> {
  const removed: Removal[] = [];
  for (const name of names) {
    await daemon.containerd.images.delete({ name }).catch(unless('NotFound'));
    if (isInternal(name)) continue;
    const Untagged = familiarString(parseReference(name));
    removed.push({ Untagged });
    daemon.events.publish('image', 'untag', image.id, { name: Untagged });
  }
  return removed;
}

/** Removes all names of an image, the layers and the content that are its alone, and with `prune` what it was made from. */
async function deleteImage(daemon: Daemon, image: LocalImage, prune: boolean): Promise<Removal[]> {
  const removed = await untag(daemon, image, [...references(image), ...image.names.filter(isInternal)]);
  removed.push(...(await removeContent(daemon, image)));
  daemon.events.publish('image', 'delete', image.id, { name: image.id });
  const parent = prune && (await daemon.images.all()).find(({ id }) => id === image.parent);
  if (!parent || (await conflictOf(daemon, parent, { force: false, namesCount: true }))) return removed;
  return [...removed, ...(await deleteImage(daemon, parent, true))];
}

/** Takes away layers and content that nothing else has. */
async function removeContent(daemon: Daemon, image: LocalImage): Promise<Removal[]> {
  const { containerd } = daemon;
  const others = await daemon.images.all();
  const keptLayers = new Set(others.flatMap(({ config }) => chainIds(config.rootfs.diff_ids)));
  const keptContent = new Set(others.flatMap(contentOf));
  const removed: Removal[] = [{ Deleted: image.id }];
  for (const key of chainIds(image.config.rootfs.diff_ids).reverse()) {
    // A stopped container of it still stands on its layers.
    if (keptLayers.has(key) || !(await isRemoved(daemon, key))) break;
    removed.push({ Deleted: key });
  }
  for (const digest of contentOf(image))
    if (!keptContent.has(digest)) await containerd.content.delete({ digest }).catch(unless('NotFound'));
  return removed;
}

async function isRemoved({ containerd }: Daemon, key: string): Promise<boolean> {
  try {
    await containerd.snapshots.remove({ snapshotter: SNAPSHOTTER, key });
    return true;
  } catch (error) {
    if (isGrpcError(error, 'NotFound')) return true;
    if (isGrpcError(error, 'FailedPrecondition')) return false;
    throw error;
  }
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
