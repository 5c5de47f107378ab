import { posix } from 'node:path';
import { compressionOf, decompress } from './compression.ts';
import { writeBlob, type ContentStore } from './content-store.ts';
import { digestHex, type Digest } from './digest.ts';
import { invalidArgument } from './errors.ts';
import { MEDIA_TYPE, resolveImage, type Descriptor, type Manifest } from './image.ts';
import { checkIndex } from './image-check.ts';
import type { ImageStore } from './image-store.ts';
import { pathParts } from './in-root.ts';
import { keepTogether } from './keep-together.ts';
import { normalizeReference } from './reference.ts';
import { readTar } from './tar.ts';

/** An image that came out of an archive. */
export interface LoadedImage {
  /** Full references, put into the image store; none if the archive named none. */
  names: string[];
  target: Descriptor;
  /** Docker's name for the image: the digest of its configuration. */
  imageId: Digest;
}

/** A line of manifest.json, Docker's table of contents. */
interface DockerManifest {
  Config: string;
  RepoTags?: string[] | null;
  Layers: string[];
}

/** The contents of an archive, its files in the content store. */
interface Contents {
  /** Digest and size by path. */
  files: Map<string, { digest: Digest; size: number }>;
  /** The tables of contents, by path. */
  tables: Map<string, Buffer>;
  /** What this load has put into the store. */
  added: Set<Digest>;
}

const TABLES = ['index.json', 'manifest.json', 'oci-layout'];
const TABLE_LIMIT = 16 * 1024 * 1024;

/**
 * Takes in what `docker save`, skopeo or `saveArchive` have written: an OCI image layout in a tar, or Docker's older form, either
 * perhaps compressed. Names are set when all is there and fits together; if anything does not, nothing is kept.
 * @throws as readArchive
 */
export async function loadArchive(
  archive: AsyncIterable<Uint8Array>,
  { content, images }: { content: ContentStore; images: ImageStore },
): Promise<LoadedImage[]> {
  const added = new Set<Digest>();
  try {
    const loaded = await readArchive(archive, content, added);
    for (const { names, target } of loaded) for (const name of names) await images.put(name, target);
    return loaded;
  } catch (error) {
    for (const digest of added) await content.delete(digest).catch(() => undefined);
    throw error;
  }
}

/**
 * The same without the names, for a store that collects what nothing names.
 * @param added gets the digests of what was not there before and belongs to an image
 * @throws StoreError INVALID_ARGUMENT (no such archive), FAILED_PRECONDITION (a blob is not what its name says), NOT_FOUND (a
 * part is missing), DATA_LOSS
 */
export async function readArchive(
  archive: AsyncIterable<Uint8Array>,
  content: ContentStore,
  added = new Set<Digest>(),
): Promise<LoadedImage[]> {
  const contents: Contents = { files: new Map(), tables: new Map(), added };
  await takeIn(archive, content, contents);
  const loaded = contents.tables.has('index.json')
    ? await readLayout(content, contents)
    : await readDockerSave(content, contents);
  const used = new Set<Digest>();
  for (const { target } of loaded) for (const digest of await keepTogether(content, target)) used.add(digest);
  for (const digest of added)
    if (!used.has(digest)) {
      await content.delete(digest);
      added.delete(digest);
    }
  return loaded;
}

async function takeIn(
  archive: AsyncIterable<Uint8Array>,
  content: ContentStore,
  contents: Contents,
): Promise<void> {
  const links: { path: string; to: string }[] = [];
  const random = `load-${process.pid}-${process.hrtime.bigint()}`;
  for await (const { header, body } of readTar(decompress(archive))) {
    const path = pathParts(header.name).join('/');
    if (header.type === 'link') links.push({ path, to: pathParts(header.linkname).join('/') });
    if (header.type === 'symlink') links.push({ path, to: posix.join(posix.dirname(path), header.linkname) });
    if (header.type !== 'file') continue;
    if (TABLES.includes(path)) {
      if (header.size > TABLE_LIMIT) throw invalidArgument(`${path} of the archive has ${header.size} bytes`);
      const chunks: Buffer[] = [];
      for await (const chunk of body) chunks.push(chunk);
      contents.tables.set(path, Buffer.concat(chunks));
      continue;
    }
    const hex = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(path)?.[1];
    const expected = hex === undefined ? {} : { expected: `sha256:${hex}` as const };
    const ref = `${random} ${path}`;
    const { added, ...blob } = await writeBlob(content, body, { ref, size: header.size, ...expected });
    contents.files.set(path, blob);
    if (added) contents.added.add(blob.digest);
  }
  // docker save writes a layer that two images share once, and a link for the second.
  for (const { path, to } of links) {
    const file = contents.files.get(to);
    if (file) contents.files.set(path, file);
  }
}

async function readLayout(content: ContentStore, contents: Contents): Promise<LoadedImage[]> {
  const index = checkIndex('index.json of the archive', table(contents, 'index.json'));
  const tags = contents.tables.has('manifest.json') ? dockerManifests(contents) : [];
  const loaded = new Map<Digest, LoadedImage>();
  for (const { annotations, ...target } of index.manifests) {
    const { manifest } = await resolveImage(content, target);
    const imageId = manifest.config.digest;
    const image = loaded.get(target.digest) ?? { names: [], target, imageId };
    const reference = annotations?.['org.opencontainers.image.ref.name'] ?? '';
    const name =
      annotations?.['io.containerd.image.name'] ?? (/[:/]/.test(reference) ? reference : undefined);
    const repoTags = tags.filter(({ Config }) => Config.includes(digestHex(imageId))).flatMap(tagsOf);
    const names = name === undefined ? repoTags : [normalizeReference(name)];
    image.names = [...new Set([...image.names, ...names])];
    loaded.set(target.digest, image);
  }
  return [...loaded.values()];
}

const tagsOf = ({ RepoTags }: DockerManifest): string[] => (RepoTags ?? []).map(normalizeReference);

/** @throws StoreError INVALID_ARGUMENT */
function dockerManifests(contents: Contents): DockerManifest[] {
  const entries = table(contents, 'manifest.json');
  const isText = (value: unknown): boolean => typeof value === 'string';
  const isEntry = ({ Config, Layers, RepoTags }: Partial<DockerManifest>): boolean =>
    isText(Config) &&
    Array.isArray(Layers) &&
    Layers.every(isText) &&
    (RepoTags == null || (Array.isArray(RepoTags) && RepoTags.every(isText)));
  if (!Array.isArray(entries) || !entries.every((entry) => isEntry((entry ?? {}) as Partial<DockerManifest>)))
    throw invalidArgument(
      'manifest.json of the archive is no list of images: each has a Config, Layers and perhaps RepoTags',
    );
  return entries as DockerManifest[];
}

async function readDockerSave(content: ContentStore, contents: Contents): Promise<LoadedImage[]> {
  if (!contents.tables.has('manifest.json'))
    throw invalidArgument(
      'no image archive: it has neither index.json (OCI) nor manifest.json (docker save)',
    );
  const loaded: LoadedImage[] = [];
  for (const entry of dockerManifests(contents)) {
    const file = (path: string): { digest: Digest; size: number } => {
      const known = contents.files.get(pathParts(path).join('/'));
      if (!known)
        throw invalidArgument(`manifest.json of the archive names ${JSON.stringify(path)}: not in it`);
      return known;
    };
    const layers: Descriptor[] = [];
    for (const path of entry.Layers) {
      const { digest, size } = file(path);
      const zipped = (await startOf(content, digest)) === 'gzip';
      layers.push({ mediaType: zipped ? MEDIA_TYPE.layerGzip : MEDIA_TYPE.layer, digest, size });
    }
    // The archive has no manifest in the specification's sense: this is the one it would have.
    const config: Descriptor = { mediaType: MEDIA_TYPE.config, ...file(entry.Config) };
    const manifest: Manifest = { schemaVersion: 2, mediaType: MEDIA_TYPE.manifest, config, layers };
    const { added, ...blob } = await writeBlob(content, Buffer.from(JSON.stringify(manifest)));
    if (added) contents.added.add(blob.digest);
    const target: Descriptor = { mediaType: MEDIA_TYPE.manifest, ...blob };
    await resolveImage(content, target);
    loaded.push({ names: tagsOf(entry), target, imageId: config.digest });
  }
  return loaded;
}

async function startOf(content: ContentStore, digest: Digest): Promise<string | undefined> {
  for await (const chunk of content.read(digest, { size: 6 })) return compressionOf(chunk);
  return undefined;
}

function table(contents: Contents, path: string): unknown {
  try {
    return JSON.parse(contents.tables.get(path)!.toString()) as unknown;
  } catch (error) {
    throw invalidArgument(`${path} of the archive is not JSON`, error);
  }
}
