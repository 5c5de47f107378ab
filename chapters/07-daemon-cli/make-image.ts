import {
  digestOf,
  MEDIA_TYPE,
  writeBlob,
  type ContainerDefaults,
  type Descriptor,
  type Digest,
  type History,
  type ImageConfig,
  type Manifest,
} from '../04-overlayfs/index.ts';
import { now } from './container.ts';
import { contentOf } from './content-client.ts';
import type { Daemon } from './daemon.ts';
import { wholeConfig } from './image-config.ts';
import { labelReferences, unpack } from './image-content.ts';
import { PARENT_LABEL, stepName } from './images.ts';
import { keepAs, keepNameless, nameImage } from './image-names.ts';
import { ENGINE_VERSION } from './version.ts';

/** A layer on top of others. */
export interface NewLayer {
  descriptor: Descriptor;
  diffId: Digest;
}

export interface NewImage {
  config: ImageConfig;
  layers: readonly Descriptor[];
  /** Full; without one it is known by its id alone. */
  name?: string | undefined;
  /** It is kept as a step of a build, for the next build. */
  step?: boolean;
  /** The id of the image that it was made from. */
  parent?: string;
}

/**
 * Makes an image of a configuration and layers that are in the content store, unpacks what is not unpacked yet, and gives it a name if it
 * is to have one.
 * @param lease holds the layers until the image names them
 * @returns the image's id, which is its configuration's digest
 */
export async function makeImage(
  daemon: Daemon,
  { config, layers, name, step = false, parent = '' }: NewImage,
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
  if (parent !== '')
    await content.update(manifest.config.digest, { [PARENT_LABEL]: parent }, [`labels.${PARENT_LABEL}`]);
  const target = await put(MEDIA_TYPE.manifest, manifest);
  await unpack(containerd, { manifest, config }, lease);
  await labelReferences(containerd, { target, manifest, config });
  if (step) await keepAs(daemon, stepName(target.digest), target);
  else if (name === undefined) await keepNameless(daemon, target);
  else await nameImage(daemon, name, target);
  return manifest.config.digest;
}

/** A tar of nothing: two blocks of zeros. What has changed no file is no layer. */
const EMPTY_LAYER = digestOf(Buffer.alloc(1024));

/** What a step did, and in which container. */
export interface Step {
  history: Pick<History, 'created_by' | 'comment'>;
  config: ContainerDefaults;
  /** Whose this step is, and the image: that of the image below is not taken over. */
  author?: string;
  /** The container's id, and the command that was its own: nothing of that is used again. */
  container?: { id: string; config: ContainerDefaults };
}

/**
 * An image's configuration and layers with one more step: its layer, if it made one, and its line of history.
 * Source: moby, image/image.go, NewChildImage.
 */
export function withStep(
  base: { config: ImageConfig; layers: readonly Descriptor[] },
  { history, config, author = '', container }: Step,
  layer: NewLayer | undefined,
): { config: ImageConfig; layers: Descriptor[] } {
  const { author: _, ...withoutAuthor } = base.config;
  const created = now();
  const added = layer && layer.diffId !== EMPTY_LAYER ? [layer] : [];
  return {
    layers: [...base.layers, ...added.map(({ descriptor }) => descriptor)],
    config: {
      ...withoutAuthor,
      ...(author && { author }),
      config: wholeConfig(config),
      container: container?.id ?? '',
      container_config: wholeConfig(container?.config ?? {}),
      created,
      docker_version: ENGINE_VERSION,
      rootfs: {
        type: 'layers',
        diff_ids: [...base.config.rootfs.diff_ids, ...added.map(({ diffId }) => diffId)],
      },
      history: [
        ...(base.config.history ?? []),
        { created, ...(author && { author }), ...history, ...(added.length === 0 && { empty_layer: true }) },
      ],
    },
  };
}
