import { createHash } from 'node:crypto';
import { closeSync } from 'node:fs';
import { createGzip } from 'node:zlib';
import {
  applyLayer,
  diffLayer,
  layersOf,
  MEDIA_TYPE,
  openMounts,
  parseDigest,
  writeBlob,
} from '../04-overlayfs/index.ts';
import { GrpcError } from './grpc-errors.ts';
import type { Handlers } from './grpc-server.ts';
import type { Leases } from './leases.ts';
import type { Namespaces } from './namespaces.ts';

/** containerd.services.diff.v1: layers become files, and files layers. */
export function diffService(namespaces: Namespaces, leases: Leases): Handlers['diff'] {
  return {
    async apply({ diff, mounts }, { namespace }) {
      if (!diff) throw new GrpcError('InvalidArgument', 'diff: which layer is to be applied?');
      const { content } = await namespaces.room(namespace);
      const digest = parseDigest(diff.digest);
      await content.info(digest);
      const target = openMounts(mounts);
      try {
        const { diffId, size } = await applyLayer(content.read(digest), target);
        return { applied: { mediaType: MEDIA_TYPE.layer, digest: diffId, size } };
      } finally {
        closeSync(target);
      }
    },
    async diff({ right, mediaType, ref, labels }, { namespace, lease }) {
      const { content } = await namespaces.room(namespace);
      const tar = diffLayer(layersOf(right));
      const uncompressed = createHash('sha256');
      const plain = (async function* () {
        for await (const chunk of tar) {
          uncompressed.update(chunk);
          yield chunk;
        }
      })();
      const isPlain = mediaType === MEDIA_TYPE.layer;
      if (!isPlain && mediaType && mediaType !== MEDIA_TYPE.layerGzip)
        throw new GrpcError(
          'Unimplemented',
          `diff as ${mediaType}: only ${MEDIA_TYPE.layer} and ${MEDIA_TYPE.layerGzip}`,
        );
      const blob = await writeBlob(content, isPlain ? plain : gzip(plain), { ...(ref && { ref }), labels });
      await leases.hold(namespace, lease, 'content', blob.digest);
      // The diff id: what an image's configuration calls this layer.
      const label = { 'containerd.io/uncompressed': `sha256:${uncompressed.digest('hex')}` };
      await content.update(blob.digest, label, ['labels.containerd.io/uncompressed']);
      return {
        diff: { mediaType: isPlain ? MEDIA_TYPE.layer : MEDIA_TYPE.layerGzip, ...blob, annotations: label },
      };
    },
  };
}

async function* gzip(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  const gzip = createGzip();
  const feeding = (async () => {
    for await (const chunk of source)
      if (!gzip.write(chunk)) await new Promise((resolve) => gzip.once('drain', resolve));
    gzip.end();
  })().catch((error: unknown) => gzip.destroy(error as Error));
  yield* gzip as AsyncIterable<Buffer>;
  await feeding;
}
