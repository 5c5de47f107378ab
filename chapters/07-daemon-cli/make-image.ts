import {
  MEDIA_TYPE,
  writeBlob,
  type Descriptor,
  type Digest,
  type ImageConfig,
  type Manifest,
} from '../04-overlayfs/index.ts';
import { contentOf } from './content-client.ts';
import type { Daemon } from './daemon.ts';
import { labelReferences, unpack } from './image-content.ts';
import { stepName } from './images.ts';
import { keepAs, keepNameless, nameImage } from './image-names.ts';

/** A layer on top of others. */
export interface NewLayer {
  descriptor: Descriptor;
  diffId: Digest;
}

/** An image as it is, to be built upon; `undefined` stands for `scratch`. */
export interface Base {
  manifest: Manifest;
  config: ImageConfig;
}

export interface NewImage {
  config: ImageConfig;
  layers: readonly Descriptor[];
  /** Full; without one it is known by its id alone. */
  name?: string | undefined;
  /** It is kept as a step of a build, seen only by who asks for all images. */
  step?: boolean;
}

/**
 * Makes an image of a configuration and layers that are in the content store, unpacks what is not unpacked yet, and gives it a name if it
 * is to have one.
 * @param lease holds the layers until the image names them
 * @returns the image's id, which is its configuration's digest
 */
export async function makeImage(
  daemon: Daemon,
  { config, layers, name, step = false }: NewImage,
  lease: string,
): Promise<Digest> {
  const { containerd } = daemon;
  const content = contentOf(containerd, lease);
  const put = async (mediaType: string, value: object): Promise<Descriptor> => {
    const { digest, size } = await writeBlob(content, Buffer.from(JSON.stringify(value)));
    return { mediaType, digest, size };
  };
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.manifest,
    config: await put(MEDIA_TYPE.config, config),
    layers: layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
  };
  const target = await put(MEDIA_TYPE.manifest, manifest);
  await unpack(containerd, { manifest, config }, lease);
  await labelReferences(containerd, { target, manifest, config });
  if (step) await keepAs(daemon, stepName(target.digest), target);
  else if (name === undefined) await keepNameless(daemon, target);
  else await nameImage(daemon, name, target);
  return manifest.config.digest;
}

/** An image's configuration with one more step: its layer, if it made one, and its line of history. */
export function withStep(
  base: ImageConfig,
  change: Pick<ImageConfig, 'config' | 'author'>,
  history: { created_by: string; comment?: string },
  layer: NewLayer | undefined,
): ImageConfig {
  const created = new Date().toISOString();
  return {
    ...base,
    ...change,
    created,
    rootfs: { type: 'layers', diff_ids: [...base.rootfs.diff_ids, ...(layer ? [layer.diffId] : [])] },
    history: [...(base.history ?? []), { created, ...history, ...(layer ? {} : { empty_layer: true }) }],
  };
}
