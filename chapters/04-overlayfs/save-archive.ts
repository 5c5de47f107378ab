import type { ContentStore } from './content-store.ts';
import { digestHex, type Digest } from './digest.ts';
import { MEDIA_TYPE, resolveImage, type Descriptor, type Index, type Manifest } from './image.ts';
import { familiarString, parseReference } from './reference.ts';
import { writeTar, type TarInput } from './tar.ts';
import { tarHeader } from './tar-header.ts';

/** An image as it goes into an archive. */
export interface ArchivedImage {
  /** Full references; none for an image that is known by its digest alone. */
  names: readonly string[];
  descriptor: Descriptor;
  manifest: Manifest;
}

/** Bytes that go into an archive, read when their turn comes. */
interface Blob {
  digest: Digest;
  size: number;
  read: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/**
 * Images as one tar that everybody reads: an OCI image layout (skopeo, containerd, docker from 25 on) with Docker's older
 * table of contents, manifest.json, beside (docker load of every version). Of an image for several platforms, this machine's.
 * Source: OCI image-spec, image-layout.md; Docker, image/spec/v1.2.md, "Combined Image JSON + Filesystem Changeset Format".
 * @throws StoreError NOT_FOUND, DATA_LOSS (in the middle of the stream: what was written is worth nothing)
 */
export async function* saveArchive(
  content: ContentStore,
  images: readonly { names: readonly string[]; target: Descriptor }[],
): AsyncGenerator<Buffer> {
  const archived: ArchivedImage[] = [];
  const blobs = new Map<Digest, Blob>();
  for (const { names, target } of images) {
    const { descriptor, manifest } = await resolveImage(content, target);
    archived.push({ names, descriptor, manifest });
    for (const { digest } of [...manifest.layers, manifest.config, descriptor])
      blobs.set(digest, {
        digest,
        size: (await content.info(digest)).size,
        read: () => content.read(digest),
      });
  }
  yield* archiveOf(archived, [...blobs.values()]);
}

const blobPath = (digest: Digest): string => `blobs/sha256/${digestHex(digest)}`;

/** The same of bytes at hand. */
export function archiveOf(images: readonly ArchivedImage[], blobs: readonly Blob[]): AsyncGenerator<Buffer> {
  const index: Index = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.index,
    // One entry a name: an annotation holds one.
    manifests: images.flatMap(({ names, descriptor }) =>
      names.length === 0
        ? [descriptor]
        : names.map((name) => ({ ...descriptor, annotations: annotate(name) })),
    ),
  };
  const manifestJson = images.map(({ names, manifest }) => ({
    Config: blobPath(manifest.config.digest),
    RepoTags: names.map((name) => familiarString(parseReference(name))),
    Layers: manifest.layers.map(({ digest }) => blobPath(digest)),
  }));
  const json = (name: string, value: unknown): TarInput => {
    const body = Buffer.from(JSON.stringify(value));
    return { header: tarHeader({ name, size: body.length }), body };
  };
  const directory = (name: string): TarInput => ({
    header: tarHeader({ name, type: 'directory', mode: 0o755 }),
  });
  return writeTar([
    directory('blobs/'),
    directory('blobs/sha256/'),
    ...blobs.map(({ digest, size, read }) => ({
      header: tarHeader({ name: blobPath(digest), size }),
      body: lazily(read),
    })),
    json('index.json', index),
    json('manifest.json', manifestJson),
    json('oci-layout', { imageLayoutVersion: '1.0.0' }),
  ]);
}

/** The name twice, as containerd and Docker do: in full, and the tag alone as the specification has it. */
function annotate(name: string): Record<string, string> {
  const { tag } = parseReference(name);
  return {
    'io.containerd.image.name': name,
    ...(tag !== undefined && { 'org.opencontainers.image.ref.name': tag }),
  };
}

async function* lazily(read: Blob['read']): AsyncGenerator<Uint8Array> {
  yield* read();
}
