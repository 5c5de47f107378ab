import type { ContentStore } from './content-store.ts';
import type { Digest } from './digest.ts';
import { inParallel } from './downloads.ts';
import { dataLoss, isStoreError, quoted } from './errors.ts';
import { isIndex, readJson, resolveImage, type Descriptor } from './image.ts';
import { checkIndex } from './image-check.ts';
import { seldom, shortDigest, type Report } from './progress.ts';
import { SOURCE_LABEL } from './pull.ts';
import type { Reference } from './reference.ts';
import { announcedDigest, checked } from './registry-answer.ts';
import { withRepository, type RegistryOptions, type Repository } from './registry.ts';
import { uploadBlob } from './upload.ts';

export interface PushOptions extends RegistryOptions {
  report?: Report;
  /** How many layers at once. 5, as Docker. */
  width?: number;
  /** Larger layers go in several requests. Bytes; 32 MiB. */
  pieceSize?: number;
}

const WIDTH = 5;

/**
 * Sends an image to a registry: first what the manifest names, then the manifest, so that nobody can pull half an image. A blob that
 * the registry has is not sent; one that another of its repositories has is mounted.
 * @returns what the tag stands for there: of an index only the image for this platform, unless all of its images are here
 * @throws RegistryError, Unreachable; StoreError NOT_FOUND, DATA_LOSS
 */
export async function pushImage(
  content: ContentStore,
  target: Descriptor,
  reference: Reference,
  options: PushOptions = {},
): Promise<Descriptor> {
  const report = seldom(options.report ?? (() => undefined));
  const { images, top } = await wholeImages(content, target);
  const blobs = new Map<Digest, Descriptor & { quiet: boolean }>();
  for (const { manifest } of images) {
    for (const layer of manifest.layers) blobs.set(layer.digest, { ...layer, quiet: false });
    blobs.set(manifest.config.digest, { ...manifest.config, quiet: true });
  }
  report({ status: `The push refers to repository [${reference.domain}/${reference.path}]` });
  const all = [...blobs.values()];
  for (const { digest, quiet } of all) if (!quiet) report({ id: shortDigest(digest), status: 'Preparing' });
  for (const { digest, quiet } of all.slice(options.width ?? WIDTH))
    if (!quiet) report({ id: shortDigest(digest), status: 'Waiting' });

  await withRepository(reference, 'pull,push', { ...options, useMirrors: false }, async (repository) => {
    await inParallel(all, options.width ?? WIDTH, async (blob) => {
      const tell: Report = blob.quiet ? () => undefined : report;
      await pushBlob(repository, content, blob, { ...reference, pieceSize: options.pieceSize, report: tell });
    });
    for (const { descriptor } of images)
      await putManifest(repository, content, descriptor, descriptor.digest);
    await putManifest(repository, content, top, reference.tag ?? top.digest);
  });
  report({ status: `${reference.tag ?? ''}: digest: ${top.digest} size: ${top.size}`.replace(/^: /, '') });
  return top;
}

/** All images of an index if they are here whole; else the one for this machine. */
async function wholeImages(content: ContentStore, target: Descriptor) {
  const own = await resolveImage(content, target);
  if (!isIndex(target.mediaType)) return { images: [own], top: target };
  const { manifests } = checkIndex(target.digest, await readJson(content, target.digest));
  try {
    const images = [];
    for (const descriptor of manifests) {
      const image = await resolveImage(content, descriptor);
      for (const { digest } of image.manifest.layers) await content.info(digest);
      images.push(image);
    }
    return { images, top: target };
  } catch (error) {
    if (!isStoreError(error, 'NOT_FOUND')) throw error;
    return { images: [own], top: own.descriptor };
  }
}

async function pushBlob(
  repository: Repository,
  content: ContentStore,
  blob: Descriptor,
  { domain, path, pieceSize, report }: Reference & { pieceSize: number | undefined; report: Report },
): Promise<void> {
  const { digest, size } = blob;
  const id = shortDigest(digest);
  const address = `/v2/${path}/blobs/${digest}`;
  const head = await repository.retry(() =>
    checked(
      repository.send(address, { method: 'HEAD' }, true),
      `blob ${digest} of ${repository.name}`,
      [200, 404],
    ),
  );
  if (head.status === 200) return report({ id, status: 'Layer already exists' });
  const { labels } = await content.info(digest);
  const sources = (labels[`${SOURCE_LABEL}${domain}`] ?? '')
    .split(',')
    .filter((source) => source && source !== path);
  const mountedFrom = await uploadBlob(
    repository,
    { digest, size, sources, pieceSize },
    (offset) => content.read(digest, { offset }),
    (current) => report({ id, status: 'Pushing', current, total: size }),
  );
  report({ id, status: mountedFrom === undefined ? 'Pushed' : `Mounted from ${mountedFrom}` });
  // The registry has it here now, too: the next push can mount it from here.
  const known = new Set([...(labels[`${SOURCE_LABEL}${domain}`] ?? '').split(',').filter(Boolean), path]);
  const label = `${SOURCE_LABEL}${domain}`;
  await content.update(digest, { [label]: [...known].sort().join(',') }, [`labels.${label}`]);
}

async function putManifest(
  { retry, send, path, name: repository }: Repository,
  content: ContentStore,
  { digest, mediaType }: Descriptor,
  name: string,
): Promise<void> {
  const body = await content.readAll(digest);
  const headers = { 'Content-Type': mediaType, 'Content-Length': body.length };
  const what = `manifest ${name} of ${repository}`;
  const answer = await retry(() =>
    checked(send(`/v2/${path}/manifests/${name}`, { method: 'PUT', headers, body }), what, [201, 200, 202]),
  );
  const taken = announcedDigest(answer) ?? digest;
  if (taken !== digest) throw dataLoss(`${what}: the registry took ${quoted(taken)} for ${digest}`);
}
