import type { Readable } from 'node:stream';
import { posix } from 'node:path';
import {
  decompress,
  MEDIA_TYPE,
  readTar,
  type ImageConfig,
  type Index,
  type Manifest,
} from '../04-overlayfs/index.ts';
import type { ContainerdClient } from '../06-shim-containerd/index.ts';
import { badParameter } from './api-error.ts';
import { writeBlob } from './image-content.ts';

/** An image in an archive, its content in the content store already. */
export interface ArchivedImage {
  /** As the archive spells them; none: the image is known by its id alone. */
  names: string[];
  target: { mediaType: string; digest: string; size: number };
  manifest: Manifest;
  config: ImageConfig;
}

/** What `docker save` writes beside, or before Docker 25 in place of, an OCI layout. */
interface DockerManifest {
  Config: string;
  RepoTags: string[] | null;
  Layers: string[];
}

interface Blob {
  digest: string;
  size: number;
}

/** JSON is kept at hand; what is larger is a layer. Bytes. */
const MAX_JSON = 4 << 20;

/**
 * Reads an archive of images, an OCI layout or what `docker save` writes, gzipped or not, and puts everything in it into the content store.
 * Names inside the archive are only compared, never used as paths.
 * @param lease holds the content until names refer to it
 * @throws ApiError 400 when it is no such archive
 */
export async function readImageArchive(
  containerd: ContainerdClient,
  stream: Readable,
  lease: string,
): Promise<ArchivedImage[]> {
  const blobs = new Map<string, Blob>();
  const texts = new Map<string, string>();
  const links = new Map<string, string>();
  try {
    for await (const { header, body } of readTar(decompress(stream))) {
      const { name, type, linkname, size } = header;
      const path = posix.normalize(name).replace(/^\//, '');
      if (type === 'symlink' || type === 'link')
        links.set(
          path,
          type === 'link' ? posix.normalize(linkname) : posix.join(posix.dirname(path), linkname),
        );
      if (type !== 'file') continue;
      const kept: Buffer[] = [];
      const digest = await writeBlob(
        containerd,
        tapped(body, size <= MAX_JSON ? kept : undefined),
        size,
        lease,
      );
      blobs.set(path, { digest, size });
      if (kept.length > 0) texts.set(path, Buffer.concat(kept).toString());
    }
  } catch (error) {
    throw badParameter(`the archive cannot be read: ${(error as Error).message}`, error);
  }
  const find = (path: string): Blob => {
    const blob = blobs.get(path) ?? blobs.get(links.get(path) ?? '');
    if (!blob) throw badParameter(`the archive names ${path}, which is not in it`);
    return blob;
  };
  const byDigest = <T>(digest: string): T => {
    const path = [...blobs].find(([name, blob]) => blob.digest === digest && texts.has(name))?.[0];
    if (path === undefined) throw badParameter(`the archive names ${digest}, which is not in it`);
    return JSON.parse(texts.get(path)!) as T;
  };

  if (texts.has('index.json')) {
    const index = JSON.parse(texts.get('index.json')!) as Index;
    const docker = JSON.parse(texts.get('manifest.json') ?? '[]') as DockerManifest[];
    return index.manifests.map((descriptor) => {
      const manifest = manifestOf(descriptor.digest, byDigest);
      const config = byDigest<ImageConfig>(manifest.config.digest);
      const { annotations = {} } = descriptor;
      const tags = docker.find(
        ({ Config }) => blobs.get(Config)?.digest === manifest.config.digest,
      )?.RepoTags;
      const name =
        annotations['io.containerd.image.name'] ?? annotations['org.opencontainers.image.ref.name'];
      const { mediaType, digest, size } = descriptor;
      return {
        names: [...new Set([...(name?.match(/[:/]/) ? [name] : []), ...(tags ?? [])])],
        target: { mediaType, digest, size },
        manifest,
        config,
      };
    });
  }
  if (texts.has('manifest.json')) {
    const entries = JSON.parse(texts.get('manifest.json')!) as DockerManifest[];
    return Promise.all(
      entries.map(async ({ Config, RepoTags, Layers }) => {
        // The archive has no manifest of the OCI's kind, so one is made: the image needs a digest to be known by.
        const manifest: Manifest = {
          schemaVersion: 2,
          mediaType: MEDIA_TYPE.manifest,
          config: { mediaType: MEDIA_TYPE.config, ...find(Config) } as Manifest['config'],
          layers: Layers.map((path) => ({
            mediaType: MEDIA_TYPE.layer,
            ...find(path),
          })) as Manifest['layers'],
        };
        const bytes = Buffer.from(JSON.stringify(manifest));
        const digest = await writeBlob(containerd, [bytes], bytes.length, lease);
        return {
          names: RepoTags ?? [],
          target: { mediaType: MEDIA_TYPE.manifest, digest, size: bytes.length },
          manifest,
          config: byDigest<ImageConfig>(manifest.config.digest),
        };
      }),
    );
  }
  throw badParameter('the archive has neither index.json nor manifest.json: it is no archive of images');
}

function manifestOf(digest: string, byDigest: <T>(digest: string) => T): Manifest {
  const content = byDigest<Manifest | Index>(digest);
  return 'manifests' in content ? manifestOf(content.manifests[0]!.digest, byDigest) : content;
}

async function* tapped(source: AsyncIterable<Buffer>, keep: Buffer[] | undefined): AsyncIterable<Buffer> {
  for await (const chunk of source) {
    keep?.push(chunk);
    yield chunk;
  }
}
