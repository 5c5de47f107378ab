import { randomBytes } from 'node:crypto';
import { writeBlob, type ContentStore } from './content-store.ts';
import type { Digest } from './digest.ts';
import { inParallel, openDownloads, type Downloads } from './downloads.ts';
import { dataLoss, failedPrecondition, isStoreError, quoted } from './errors.ts';
import { fetchBlob } from './fetch-blob.ts';
import {
  choosePlatform,
  hostPlatform,
  isIndex,
  MEDIA_TYPE,
  readConfig,
  type Descriptor,
  type Manifest,
  type Platform,
} from './image.ts';
import { checkIndex, checkManifest } from './image-check.ts';
import type { Labels } from './labels.ts';
import { keepTogether } from './keep-together.ts';
import { seldom, shortDigest, type Report } from './progress.ts';
import type { Reference } from './reference.ts';
import { withRepository, type RegistryOptions, type RemoteManifest, type Repository } from './registry.ts';

export interface PullOptions extends RegistryOptions {
  platform?: Platform;
  report?: Report;
  /** Shared by all pulls into a store, so that none fetches what another is fetching. */
  downloads?: Downloads;
  /** How many layers at once. 3, as Docker. */
  width?: number;
}

export interface PulledImage {
  /** What the reference stands for: an index or a manifest, in the content store with all that belongs to it. */
  target: Descriptor;
  manifest: Manifest;
  /** Bytes that had to be fetched. */
  fetched: number;
}

const WIDTH = 3;

/** What an image's configuration may be called. Charts, signatures and plugins lie in registries, too, and say here what they are. */
const CONFIGS: readonly (string | undefined)[] = [
  MEDIA_TYPE.config,
  'application/vnd.docker.container.image.v1+json',
  'application/octet-stream', // Docker's before 1.10
  undefined,
];

/**
 * Brings an image from its registry into the content store: the manifest for this platform, its configuration and its layers, several at
 * a time, each verified. What is there already is not fetched. Naming and unpacking it is the caller's affair.
 * If it fails, whole blobs and beginnings of blobs stay for the next try; nothing claims to be an image.
 * @throws RegistryError, Unreachable; StoreError DATA_LOSS for what is not what it claims, FAILED_PRECONDITION when there is no image
 * for the platform
 */
export async function pullImage(
  content: ContentStore,
  reference: Reference,
  options: PullOptions = {},
): Promise<PulledImage> {
  const report = seldom(options.report ?? (() => undefined));
  const from = <T>(
    signal: AbortSignal | undefined,
    work: (repository: Repository) => Promise<T>,
  ): Promise<T> => withRepository(reference, 'pull', { ...options, signal, useMirrors: true }, work);
  const named = reference.digest ?? reference.tag ?? 'latest';
  report({ status: `Pulling from ${reference.path}`, ...(reference.digest ? {} : { id: named }) });
  const chosen = await from(options.signal, (repository) =>
    chooseManifest(repository, named, options.platform ?? hostPlatform()),
  );
  const manifest = parsed(chosen.at(-1)!, checkManifest);
  if (!CONFIGS.includes(manifest.config.mediaType))
    throw failedPrecondition(
      `${named} is no image to run: its configuration is of the type ${quoted(manifest.config.mediaType)}`,
    );
  const labels = sourceLabels(reference);
  let fetched = 0;

  const downloads = options.downloads ?? openDownloads();
  const fetch = async (blob: Descriptor, tell: Report): Promise<void> => {
    // One connection a download: it may outlive the pull that began it.
    const start = (onBytes: (offset: number) => void, signal: AbortSignal): Promise<void> =>
      from(signal, async (own) => {
        if (await fetchBlob(own, content, blob, { labels, onBytes, signal })) fetched += blob.size;
      });
    await downloads.share(
      blob.digest,
      start,
      (current) => tell({ status: 'Downloading', current, total: blob.size }),
      options.signal,
    );
    await hold(content, blob);
  };

  await fetch(manifest.config, () => undefined);
  await readConfig(content, manifest); // looked at before gigabytes of layers are fetched for it
  const layers = distinct(manifest.layers);
  for (const { digest } of layers) report({ id: shortDigest(digest), status: 'Pulling fs layer' });
  for (const { digest } of layers.slice(options.width ?? WIDTH))
    report({ id: shortDigest(digest), status: 'Waiting' });
  await inParallel(layers, options.width ?? WIDTH, async (layer) => {
    const id = shortDigest(layer.digest);
    const before = fetched;
    if (await has(content, layer.digest)) {
      await hold(content, layer);
      return report({ id, status: 'Already exists' });
    }
    await fetch(layer, (progress) => report({ id, ...progress }));
    if (fetched > before) report({ id, status: 'Verifying Checksum' });
    report({ id, status: 'Download complete' });
  });

  // From the bottom up: what names other content comes after it.
  for (const { bytes, digest } of chosen.toReversed())
    await writeBlob(content, bytes, { expected: digest, labels });
  const [top] = chosen;
  const target: Descriptor = { mediaType: top!.mediaType, digest: top!.digest, size: top!.bytes.length };
  await keepTogether(content, target, options.platform);
  return { target, manifest, fetched };
}

/** The manifest for a platform, and before it the indexes that lead there. */
async function chooseManifest(
  repository: Repository,
  named: string,
  platform: Platform,
): Promise<RemoteManifest[]> {
  const found = await repository.manifest(named);
  const path = [found];
  while (isIndex(path.at(-1)!.mediaType)) {
    // An index may hold an index, but none needs three.
    if (path.length === 3) throw failedPrecondition(`${found.digest}: an index in an index in an index`);
    const { manifests } = parsed(path.at(-1)!, checkIndex);
    const next = choosePlatform(manifests, platform);
    if (!next)
      throw failedPrecondition(
        `no matching manifest for ${[platform.os, platform.architecture, platform.variant].filter(Boolean).join('/')} in the manifest list entries`,
      );
    const manifest = await repository.manifest(next.digest);
    if (manifest.bytes.length !== next.size || manifest.mediaType !== next.mediaType)
      throw dataLoss(
        `manifest ${next.digest} has ${manifest.bytes.length} bytes of ${manifest.mediaType}; its index says ${next.size} of ${next.mediaType}`,
      );
    path.push(manifest);
  }
  return path;
}

/** What a document says, looked at. That it is JSON, the repository has seen. */
const parsed = <T>({ digest, bytes }: RemoteManifest, check: (name: string, value: unknown) => T): T =>
  check(digest, JSON.parse(bytes.toString()));

const distinct = (layers: readonly Descriptor[]): Descriptor[] => [
  ...new Map(layers.map((layer) => [layer.digest, layer])).values(),
];

async function has(content: ContentStore, digest: Digest): Promise<boolean> {
  try {
    await content.info(digest);
    return true;
  } catch (error) {
    if (isStoreError(error, 'NOT_FOUND')) return false;
    throw error;
  }
}

/** Says that this pull needs a blob, whoever fetched it: a store with leases then keeps it for us. */
async function hold(content: ContentStore, { digest, size }: Descriptor): Promise<void> {
  try {
    const ref = `hold-${randomBytes(8).toString('hex')}`;
    const writer = await content.writer(ref, { expected: digest, total: size });
    await writer.close();
    await content.abort(ref);
    throw dataLoss(`content ${digest} was removed while it was being pulled: try again`);
  } catch (error) {
    if (!isStoreError(error, 'ALREADY_EXISTS')) throw error;
  }
}

/** Where a blob has come from, in containerd's label: a push to the same registry can then mount it instead of sending it. */
export const SOURCE_LABEL = 'containerd.io/distribution.source.';
const sourceLabels = ({ domain, path }: Reference): Labels => ({ [`${SOURCE_LABEL}${domain}`]: path });
