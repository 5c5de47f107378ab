import { chainIds } from '../04-overlayfs/index.ts';
import { isApiError } from './api-error.ts';
import type { Daemon } from './daemon.ts';
import { createdAt, danglingFilter, labelFilter, untilFilter } from './image-filter.ts';
import { removeImage, type Removal } from './image-remove.ts';
import { childrenOf, references, type LocalImage } from './images.ts';

/**
 * Removes images that nothing needs: the dangling ones, which no tag names, or with `dangling=false` all that no container has. Steps of
 * builds go with what was made from them.
 * Source: moby, daemon/images/image_prune.go.
 * @throws ApiError 400 for filters that make no sense
 */
export async function pruneImages(
  daemon: Daemon,
  filters: ReadonlyMap<string, string[]>,
): Promise<{ ImagesDeleted: Removal[] | null; SpaceReclaimed: number }> {
  const [until, hasLabels] = [untilFilter(filters), labelFilter(filters)];
  const danglingOnly = danglingFilter(filters) ?? true;
  const all = await daemon.images.all();
  const chosen = all.filter((image) => {
    const names = references(image);
    if (childrenOf(all, image.id).length > 0 && (danglingOnly || names.length === 0)) return false;
    if (danglingOnly && names.some((name) => !name.includes('@'))) return false;
    return (until === undefined || createdAt(image) <= until) && hasLabels(image);
  });
  const { removed, reclaimed } = await removeUnused(daemon, chosen);
  return { ImagesDeleted: removed.length > 0 ? removed : null, SpaceReclaimed: reclaimed };
}

/** Removes images by each of their names. What something needs stays. Says what is gone, and how many bytes of layers that freed. */
export async function removeUnused(
  daemon: Daemon,
  chosen: readonly LocalImage[],
): Promise<{ removed: Removal[]; reclaimed: number }> {
  const sizes = new Map<string, number>();
  for (const layer of (await daemon.images.all()).flatMap(({ config }) => chainIds(config.rootfs.diff_ids)))
    sizes.set(layer, await daemon.images.layerSize(layer));
  const removed: Removal[] = [];
  for (const image of chosen) {
    const names = references(image);
    for (const reference of names.length > 0 ? names : [image.id])
      removed.push(...(await removeIfUnused(daemon, reference)));
  }
  const layers = removed.flatMap((one) => ('Deleted' in one ? [sizes.get(one.Deleted) ?? 0] : []));
  return { removed, reclaimed: layers.reduce((sum, size) => sum + size, 0) };
}

/** Nothing is gone where a container has it, or where somebody was faster. */
async function removeIfUnused(daemon: Daemon, reference: string): Promise<Removal[]> {
  try {
    const image = await daemon.images.find(reference);
    return await removeImage(daemon, image, reference);
  } catch (error) {
    if (isApiError(error, 409) || isApiError(error, 404)) return [];
    throw error;
  }
}
