import { digestOf, type Digest } from './digest.ts';
import { dataLoss, failedPrecondition } from './errors.ts';
import type { ContentStore } from './content-store.ts';
import { checkConfig, checkIndex, checkManifest } from './image-check.ts';

/** Media types of the OCI image specification, and Docker's older names of the same things. */
export const MEDIA_TYPE = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
  layerGzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
} as const;

/** A pointer to content: what it is, its digest and its size. OCI image-spec, descriptor.md. */
export interface Descriptor {
  mediaType: string;
  digest: Digest;
  /** bytes */
  size: number;
  annotations?: Record<string, string>;
  platform?: Platform;
}

export interface Platform {
  os: string;
  architecture: string;
  variant?: string;
}

/** One image for one platform: a configuration, and layers from the lowest up. OCI image-spec, manifest.md. */
export interface Manifest {
  schemaVersion: 2;
  mediaType?: string;
  config: Descriptor;
  layers: Descriptor[];
  annotations?: Record<string, string>;
}

/** A list of manifests, one a platform; also the table of contents of an OCI layout. OCI image-spec, image-index.md. */
export interface Index {
  schemaVersion: 2;
  mediaType?: string;
  manifests: Descriptor[];
  annotations?: Record<string, string>;
}

/** What a container of the image starts with, and how the image came to be. OCI image-spec, config.md. */
export interface ImageConfig extends Platform {
  created?: string;
  author?: string;
  config?: ContainerDefaults;
  rootfs: { type: 'layers'; diff_ids: Digest[] };
  history?: History[];
  /** Docker's, beyond the specification: the container that it was made from, that one's configuration, and the engine's version. */
  container?: string;
  container_config?: ContainerDefaults;
  docker_version?: string;
}

/** The defaults of a container: Docker's words, with their capitals. Docker keeps more of the container than it uses again. */
export interface ContainerDefaults {
  Hostname?: string;
  Domainname?: string;
  AttachStdin?: boolean;
  AttachStdout?: boolean;
  AttachStderr?: boolean;
  Tty?: boolean;
  OpenStdin?: boolean;
  StdinOnce?: boolean;
  /** The image that the container was made of: as it was asked for, or in a build the step before. */
  Image?: string;
  User?: string;
  Env?: string[] | null;
  Cmd?: string[] | null;
  Entrypoint?: string[] | null;
  WorkingDir?: string;
  ExposedPorts?: Record<string, object>;
  Volumes?: Record<string, object> | null;
  Labels?: Record<string, string> | null;
  StopSignal?: string;
  Healthcheck?: Healthcheck;
  /** What runs commands that are written as text; of a build's steps alone. */
  Shell?: string[];
  /** Instructions for the builds that begin with this image. */
  OnBuild?: string[] | null;
}

/** How it is found out whether a container does its work. Times in nanoseconds. */
export interface Healthcheck {
  /** `['NONE']`, `['CMD', PROGRAM, …]` or `['CMD-SHELL', COMMAND]` */
  Test: string[];
  Interval?: number;
  Timeout?: number;
  StartPeriod?: number;
  StartInterval?: number;
  Retries?: number;
}

export interface History {
  created?: string;
  author?: string;
  created_by?: string;
  comment?: string;
  empty_layer?: boolean;
}

/**
 * The name of a stack of layers: of one layer its diffID, of more the digest of `CHAINID_OF_THOSE_BELOW DIFFID`. Two images
 * that begin with the same layers have the same names there, and share their snapshots. From the lowest up, one name a layer.
 * Source: OCI image-spec, config.md, "Layer ChainID".
 */
export function chainIds(diffIds: readonly Digest[]): Digest[] {
  //#gap 04.3 chainIds
  const chain: Digest[] = [];
  for (const diffId of diffIds) {
    const below = chain.at(-1);
    chain.push(below === undefined ? diffId : digestOf(`${below} ${diffId}`));
  }
  return chain;
  //#end
}

/** This machine, in the specification's words (Go's GOOS and GOARCH). */
export function hostPlatform(): Platform {
  const names: Record<string, string> = { x64: 'amd64', ia32: '386', ppc64: 'ppc64le' };
  return { os: 'linux', architecture: names[process.arch] ?? process.arch };
}

export const isIndex = (mediaType: string): boolean =>
  mediaType === MEDIA_TYPE.index || mediaType === MEDIA_TYPE.dockerIndex;

/** Which variants of ARM run where: a later one runs what was made for an earlier one. Best first. */
const ARM = ['v8', 'v7', 'v6', 'v5'];

/**
 * Of the images of an index, the one for a platform: the same operating system and architecture, and of variants the best that runs
 * there. What names no platform is for all; attestations (`unknown/unknown`) are for none.
 * Source: OCI image-spec, image-index.md; containerd, platforms/compare.go.
 */
export function choosePlatform(
  manifests: readonly Descriptor[],
  { os, architecture, variant }: Platform,
): Descriptor | undefined {
  const standard: Record<string, string> = { arm64: 'v8', arm: 'v7' };
  const wanted = variant ?? standard[architecture];
  const runs: (string | undefined)[] =
    architecture === 'arm' && wanted !== undefined ? ARM.slice(ARM.indexOf(wanted)) : [wanted];
  const rank = ({ platform }: Descriptor): number => {
    if (!platform) return runs.length;
    if (platform.os !== os || platform.architecture !== architecture) return -1;
    return runs.indexOf(platform.variant ?? standard[architecture]);
  };
  const fitting = manifests.filter((manifest) => rank(manifest) >= 0);
  return fitting.sort((a, b) => rank(a) - rank(b))[0];
}

/** An image as its JSON says it, with the descriptor of the manifest that was chosen. */
export interface ResolvedImage {
  descriptor: Descriptor;
  /** The indexes that led to it, from the target on. */
  indexes: Descriptor[];
  manifest: Manifest;
  config: ImageConfig;
}

/**
 * Reads the image that a descriptor points to; of an index, the one for `platform`.
 * @throws StoreError NOT_FOUND when a part is missing, FAILED_PRECONDITION when no manifest is for the platform, DATA_LOSS
 */
export async function resolveImage(
  content: ContentStore,
  target: Descriptor,
  platform: Platform = hostPlatform(),
): Promise<ResolvedImage> {
  if (isIndex(target.mediaType)) {
    const { manifests } = checkIndex(target.digest, await readJson(content, target.digest));
    const chosen = choosePlatform(manifests, platform);
    if (!chosen)
      throw failedPrecondition(`${target.digest} has no image for ${platform.os}/${platform.architecture}`);
    const resolved = await resolveImage(content, chosen, platform);
    return { ...resolved, indexes: [target, ...resolved.indexes] };
  }
  const manifest = checkManifest(target.digest, await readJson(content, target.digest));
  return { descriptor: target, indexes: [], manifest, config: await readConfig(content, manifest) };
}

/** The configuration that a manifest names. @throws StoreError NOT_FOUND, DATA_LOSS when it is none, or one for other layers */
export async function readConfig(
  content: ContentStore,
  { config: { digest }, layers }: Manifest,
): Promise<ImageConfig> {
  const config = checkConfig(digest, await readJson(content, digest));
  const { length } = config.rootfs.diff_ids;
  if (length !== layers.length) throw dataLoss(`${digest}: ${length} diff_ids for ${layers.length} layers`);
  return config;
}

/** Documents are read into memory; a blob of more bytes is none. */
const MAX_JSON = 16 << 20;

/** Reads JSON from the content store. @throws StoreError NOT_FOUND, DATA_LOSS when it is no JSON, or too large to be read */
export async function readJson<T>(content: ContentStore, digest: string): Promise<T> {
  const { size } = await content.info(digest);
  if (size > MAX_JSON)
    throw dataLoss(`content ${digest} of ${size} bytes is no document: at most ${MAX_JSON}`);
  const bytes = await content.readAll(digest);
  try {
    return JSON.parse(bytes.toString()) as T;
  } catch (error) {
    throw dataLoss(`content ${digest} is not JSON`, error);
  }
}
