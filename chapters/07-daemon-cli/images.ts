import {
  chainIds,
  choosePlatform,
  familiarString,
  hostPlatform,
  parseReference,
  referenceString,
  type ImageConfig,
  type Index,
  type Manifest,
} from '../04-overlayfs/index.ts';
import {
  fromTimestamp,
  isGrpcError,
  type ContainerdClient,
  type Descriptor,
  type Input,
} from '../06-shim-containerd/index.ts';
import { badParameter, notFound } from './api-error.ts';

/** The snapshotter that layers and containers are kept with. */
export const SNAPSHOTTER = 'overlayfs';

/** An image as the Engine API thinks of it: one configuration, and any number of names for it. */
export interface LocalImage {
  /** The digest of the configuration. */
  id: string;
  /** Full names in containerd: `docker.io/library/busybox:latest`; also those of images that lost their name. */
  names: string[];
  /** What the names point to: a manifest or an index. */
  target: Input<Descriptor> & { digest: string };
  manifest: Manifest;
  config: ImageConfig;
  /** The snapshot of its topmost layer. Empty: it has no layer. */
  snapshot: string;
  /** The image that it was made from here, by a commit or a step of a build. Empty: it came from elsewhere. */
  parent: string;
  /** When it was given a name last. Milliseconds since 1970; 0: never. */
  taggedAt: number;
}

/** The label of a configuration that says the image's parent. Source: moby, daemon/containerd/image_builder.go. */
export const PARENT_LABEL = 'org.mobyproject.image.parent';

/** The names that people gave. Those of the engine's own are no references: what has only such is dangling, or a step of a build. */
export const references = ({ names }: Pick<LocalImage, 'names'>): string[] =>
  names.filter((name) => !isInternal(name)).sort();

/** Images that were made from this one. */
export const childrenOf = (images: readonly LocalImage[], id: string): LocalImage[] =>
  images.filter(({ parent }) => parent === id);

/** What an image is called that lost its name to a newer one: it stays, by its id alone. */
const NAMELESS = 'moby-dangling@';
export const namelessName = (digest: string): string => `${NAMELESS}${digest}`;

/** What the steps of builds are called, which are kept for the next build. */
const STEP = 'moby-build@';
export const stepName = (digest: string): string => `${STEP}${digest}`;
export const isStep = (name: string): boolean => name.startsWith(STEP);

/** Names that are no one's but the engine's. */
export const isInternal = (name: string): boolean => name.startsWith(NAMELESS) || isStep(name);

/** `busybox:latest`, for the names that people gave. */
export const repoTags = (image: LocalImage): string[] =>
  references(image)
    .filter((name) => !name.includes('@'))
    .map((name) => familiarString(parseReference(name)))
    .sort();

/** `busybox@sha256:…`, the manifest under each repository's name. */
export const repoDigests = (image: LocalImage): string[] => [
  ...new Set(
    references(image).map((name) => {
      const { domain, path } = parseReference(name);
      return `${familiarString({ domain, path })}@${image.target.digest}`;
    }),
  ),
];

/** A name as people type it, completed. @throws ApiError 400 */
export function fullName(reference: string): string {
  try {
    return referenceString(parseReference(reference));
  } catch (error) {
    const upper = /repository name must be lowercase/.test((error as Error).message);
    throw badParameter(
      `invalid reference format${upper ? ': repository name must be lowercase' : ''}`,
      error,
    );
  }
}

export interface Images {
  all(): Promise<LocalImage[]>;
  /**
   * The image of this name, id, or beginning of an id.
   * @throws ApiError 404 `No such image: busybox:latest`, 400 for what is no reference
   */
  find(reference: string): Promise<LocalImage>;
  /** Bytes that its layers take up, those that others share counted too. */
  size(image: LocalImage): Promise<number>;
  /** Bytes that one layer takes up, by its snapshot; 0 when it is not unpacked. */
  layerSize(snapshot: string): Promise<number>;
  /** What a name points to, for this machine. @throws GrpcError NotFound */
  resolve(target: { digest: string }): Promise<{ manifest: Manifest; config: ImageConfig }>;
  /** Reads JSON out of the content store. @throws GrpcError NotFound */
  json<T>(digest: string): Promise<T>;
}

/** The images that containerd has. Nothing is kept here but what never changes: content, by its digest. */
export function openImages(containerd: ContainerdClient): Images {
  const parsed = new Map<string, unknown>();
  const sizes = new Map<string, number>();

  async function json<T>(digest: string): Promise<T> {
    if (!parsed.has(digest)) {
      const chunks: Buffer[] = [];
      for await (const { data } of containerd.content.read({ digest })) chunks.push(data);
      parsed.set(digest, JSON.parse(Buffer.concat(chunks).toString()));
    }
    return parsed.get(digest) as T;
  }

  async function resolve(target: { digest: string }): Promise<{
    manifest: Manifest;
    config: ImageConfig;
  }> {
    const content = await json<Manifest | Index>(target.digest);
    if ('manifests' in content) {
      const platform = hostPlatform();
      // One for another platform is run by whoever pulled it on purpose, if the machine can.
      const here = await present(content.manifests);
      const chosen = choosePlatform(here, platform) ?? here[0] ?? choosePlatform(content.manifests, platform);
      if (!chosen)
        throw notFound(`image ${target.digest} has no manifest for ${platform.os}/${platform.architecture}`);
      return resolve(chosen);
    }
    return { manifest: content, config: await json<ImageConfig>(content.config.digest) };
  }

  /** Those of an index that are in the store. */
  async function present(manifests: Index['manifests']): Promise<Index['manifests']> {
    const there = await Promise.all(
      manifests.map((manifest) =>
        containerd.content.info({ digest: manifest.digest }).then(
          () => true,
          (error: unknown) => {
            if (isGrpcError(error, 'NotFound')) return false;
            throw error;
          },
        ),
      ),
    );
    return manifests.filter((_, i) => there[i]);
  }

  async function all(): Promise<LocalImage[]> {
    const { images } = await containerd.images.list({});
    const byId = new Map<string, LocalImage>();
    for (const { name, target, updatedAt } of images) {
      if (!target) continue;
      try {
        const { manifest, config } = await resolve(target);
        const id = manifest.config.digest;
        const image = byId.get(id) ?? {
          id,
          names: [],
          target,
          manifest,
          config,
          snapshot: chainIds(config.rootfs.diff_ids).at(-1) ?? '',
          parent: await parentOf(id),
          taggedAt: 0,
        };
        byId.set(id, image);
        image.names.push(name);
        if (!isInternal(name))
          image.taggedAt = Math.max(image.taggedAt, fromTimestamp(updatedAt)?.getTime() ?? 0);
      } catch (error) {
        // An image whose content is not all there (a load that is under way) is not there yet.
        if (!isGrpcError(error, 'NotFound')) throw error;
      }
    }
    return [...byId.values()];
  }

  async function parentOf(config: string): Promise<string> {
    const { info } = await containerd.content.info({ digest: config });
    return info.labels[PARENT_LABEL] ?? '';
  }

  async function layerSize(snapshot: string): Promise<number> {
    if (!sizes.has(snapshot)) {
      try {
        const { size } = await containerd.snapshots.usage({ snapshotter: SNAPSHOTTER, key: snapshot });
        sizes.set(snapshot, size);
      } catch (error) {
        if (!isGrpcError(error, 'NotFound')) throw error;
      }
    }
    return sizes.get(snapshot) ?? 0;
  }

  return {
    all,
    resolve,
    json,
    find: async (reference) => findImage(await all(), reference),
    layerSize,
    size: async ({ config }) => {
      const each = await Promise.all(chainIds(config.rootfs.diff_ids).map(layerSize));
      return each.reduce((sum, size) => sum + size, 0);
    },
  };
}

/** By name first, then by id: an image called `abc` hides one whose id begins so. */
export function findImage(images: readonly LocalImage[], reference: string): LocalImage {
  const digits = /^(?:sha256:)?([0-9a-f]{1,64})$/.exec(reference)?.[1];
  const isId = digits !== undefined && (reference.startsWith('sha256:') || digits.length === 64);
  const name = isId ? undefined : fullName(reference);
  const named =
    name !== undefined &&
    images.find(
      (image) => image.names.includes(name) || repoDigests(image).some((d) => fullName(d) === name),
    );
  if (named) return named;
  const begins = digits ? images.filter((image) => image.id.startsWith(`sha256:${digits}`)) : [];
  if (begins.length === 1) return begins[0]!;
  if (begins.length > 1) throw badParameter(`multiple IDs found with provided prefix: ${reference}`);
  throw notFound(
    `No such image: ${name === undefined ? reference : familiarString(parseReference(reference))}`,
  );
}
