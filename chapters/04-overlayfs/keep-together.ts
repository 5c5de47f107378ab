import type { ContentStore } from './content-store.ts';
import type { Digest } from './digest.ts';
import { resolveImage, type Descriptor, type Platform } from './image.ts';
import type { Labels } from './labels.ts';

/**
 * Checks that every part of an image is there, and labels what names other content with what it names, as containerd does: garbage
 * collection follows these labels. Returns the digests of all parts.
 * @throws StoreError NOT_FOUND
 */
export async function keepTogether(
  content: ContentStore,
  target: Descriptor,
  platform?: Platform,
): Promise<Digest[]> {
  const { descriptor, manifest, indexes } = await resolveImage(content, target, platform);
  const label = async (digest: Digest, labels: Labels): Promise<void> => {
    await content.update(
      digest,
      labels,
      Object.keys(labels).map((name) => `labels.${name}`),
    );
  };
  const labels: Labels = { 'containerd.io/gc.ref.content.config': manifest.config.digest };
  for (const [i, { digest }] of manifest.layers.entries()) {
    await content.info(digest);
    labels[`containerd.io/gc.ref.content.l.${i}`] = digest;
  }
  await label(descriptor.digest, labels);
  const path = [...indexes, descriptor];
  for (const [i, { digest }] of indexes.entries())
    await label(digest, { 'containerd.io/gc.ref.content.m.0': path[i + 1]!.digest });
  const parts = [...manifest.layers, manifest.config, ...path].map(({ digest }) => digest);
  return [...new Set(parts)];
}
