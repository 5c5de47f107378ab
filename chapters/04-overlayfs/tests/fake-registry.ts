import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { digestOf, MEDIA_TYPE, type Digest, type ImageConfig, type Manifest } from '../index.ts';

/**
 * A registry that misbehaves as it is told: what a real one does only on its worst days. Well-behaved unless `misbehave` answers a
 * request itself, by returning true.
 */
export interface FakeRegistry {
  host: string;
  blobs: Map<string, Buffer>;
  manifests: Map<string, { type: string; bytes: Buffer }>;
  /** `GET /v2/a/blobs/sha256:… bytes=5-` for each request, in order. */
  requests: string[];
  misbehave: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** Puts an image of layers there under a tag, and says its digest. */
  addImage(tag: string, layers: readonly Buffer[], config?: Partial<ImageConfig>): Digest;
  stop(): Promise<void>;
}

export async function fakeRegistry(): Promise<FakeRegistry> {
  const blobs = new Map<string, Buffer>();
  const manifests: FakeRegistry['manifests'] = new Map();
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push([request.method, request.url, request.headers.range].filter(Boolean).join(' '));
    if (fake.misbehave(request, response)) return;
    const [, kind, name] = /\/(manifests|blobs)\/(.+)$/.exec(request.url!) ?? [];
    if (kind === undefined) return void response.end('{}');
    const manifest = manifests.get(name!);
    const bytes = kind === 'manifests' ? manifest?.bytes : blobs.get(name!);
    if (!bytes)
      return void response.writeHead(404).end('{"errors":[{"code":"UNKNOWN","message":"not here"}]}');
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    response.writeHead(from > 0 ? 206 : 200, {
      'Content-Type': manifest?.type ?? 'application/octet-stream',
      'Content-Length': bytes.length - from,
      ...(from > 0 && { 'Content-Range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` }),
    });
    response.end(bytes.subarray(from));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  const addBlob = (bytes: Buffer): { digest: Digest; size: number } => {
    const digest = digestOf(bytes);
    blobs.set(digest, bytes);
    return { digest, size: bytes.length };
  };
  const fake: FakeRegistry = {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    blobs,
    manifests,
    requests,
    misbehave: () => false,
    addImage(tag, layers, config = {}) {
      const diffIds = layers.map(
        (layer): Digest => `sha256:${createHash('sha256').update(layer).digest('hex')}`,
      );
      const whole = {
        os: 'linux',
        architecture: 'amd64',
        rootfs: { type: 'layers', diff_ids: diffIds },
        ...config,
      };
      const manifest: Manifest = {
        schemaVersion: 2,
        mediaType: MEDIA_TYPE.manifest,
        config: { mediaType: MEDIA_TYPE.config, ...addBlob(Buffer.from(JSON.stringify(whole))) },
        layers: layers.map((layer) => ({ mediaType: MEDIA_TYPE.layer, ...addBlob(layer) })),
      };
      const bytes = Buffer.from(JSON.stringify(manifest));
      const digest = digestOf(bytes);
      for (const name of [tag, digest]) manifests.set(name, { type: MEDIA_TYPE.manifest, bytes });
      return digest;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return fake;
}
