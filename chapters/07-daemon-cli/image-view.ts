import { chainIds, type History } from '../04-overlayfs/index.ts';
import { NEVER, rfc3339 } from './container.ts';
import type { Daemon } from './daemon.ts';
import { wholeConfig } from './image-config.ts';
import { repoDigests, repoTags, type LocalImage } from './images.ts';
import { compareVersions } from './router.ts';

/** Seconds since 1970; far before it where an image does not say when it was made. */
const seconds = (moment: string | undefined): number => Math.floor(Date.parse(moment ?? NEVER) / 1000);

/** An image as `docker images` shows it. Source: Engine API, ImageList. */
export async function listView(
  daemon: Daemon,
  image: LocalImage,
  { tags, digests, version }: { tags: string[]; digests: string[]; version: string },
): Promise<{ Created: number }> {
  const Size = await daemon.images.size(image);
  return {
    // How many use it is counted for `docker system df` alone.
    ...{ Containers: -1, Created: seconds(image.config.created), Id: image.id },
    ...{ Labels: image.config.config?.Labels ?? null, ParentId: image.parent },
    ...{ RepoDigests: digests, RepoTags: tags, SharedSize: -1, Size },
    ...(compareVersions(version, '1.44') < 0 && { VirtualSize: Size }),
  };
}

/** An image as `docker image inspect` shows it, to clients of each version what theirs had. Source: Engine API, ImageInspect. */
export async function inspectView(daemon: Daemon, image: LocalImage, version: string): Promise<object> {
  const { config } = image;
  const { container, container_config, docker_version, author, variant } = config;
  const Size = await daemon.images.size(image);
  return {
    Id: image.id,
    RepoTags: repoTags(image),
    RepoDigests: repoDigests(image),
    Parent: image.parent,
    Comment: config.history?.at(-1)?.comment ?? '',
    Created: config.created ?? NEVER,
    ...(compareVersions(version, '1.45') < 0 && {
      Container: container ?? '',
      ContainerConfig: wholeConfig(container_config ?? {}),
    }),
    DockerVersion: docker_version ?? '',
    Author: author ?? '',
    Config: wholeConfig(config.config ?? {}),
    Architecture: config.architecture,
    ...(variant && { Variant: variant }),
    Os: config.os,
    Size,
    ...(compareVersions(version, '1.44') < 0 && { VirtualSize: Size }),
    GraphDriver: { Data: null, Name: 'overlayfs' },
    RootFS: { Type: 'layers', Layers: config.rootfs.diff_ids },
    Metadata: { LastTagTime: image.taggedAt === 0 ? NEVER : rfc3339(BigInt(image.taggedAt) * 1_000_000n) },
    Descriptor: {
      mediaType: image.target.mediaType,
      digest: image.target.digest,
      size: image.target.size,
    },
  };
}

/**
 * How an image came to be, the last step first. Of what was made here each step is an image of its own; of what came from elsewhere only
 * the last is there, the others are `<missing>`.
 * Source: moby, daemon/images/image_history.go.
 */
export async function historyView(daemon: Daemon, image: LocalImage): Promise<object[]> {
  const all = new Map((await daemon.images.all()).map((one) => [one.id, one]));
  const chain = chainIds(image.config.rootfs.diff_ids);
  const steps: History[] = image.config.history ?? chain.map(() => ({}));
  let layer = 0;
  const sizes: number[] = [];
  for (const { empty_layer } of steps)
    sizes.push(empty_layer ? 0 : await daemon.images.layerSize(chain[layer++] ?? ''));
  let made: LocalImage | undefined = image;
  return [...steps.entries()].reverse().map(([index, { created, created_by, comment }]) => {
    const step: LocalImage | undefined = made;
    made = step && all.get(step.parent);
    const tags = step ? repoTags(step) : [];
    return {
      Comment: comment ?? '',
      Created: seconds(created),
      CreatedBy: created_by ?? '',
      Id: step?.id ?? '<missing>',
      Size: sizes[index]!,
      Tags: tags.length > 0 ? tags : null,
    };
  });
}
