import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { digestHex, digestOf, parseDigest, type Digest } from './digest.ts';
import { RegistryError } from './registry-error.ts';

/** A registry on loopback: the other end of pull.ts and push.ts. Its blobs are files, its names are in memory. */
export interface RegistryServer {
  /** `127.0.0.1:PORT` */
  host: string;
  /** What was asked and answered, in order: `HEAD /v2/app/blobs/sha256:… 404`. */
  log: string[];
  /** The file that holds a blob. */
  blobPath(digest: Digest): string;
  stop(): Promise<void>;
}

/** What a repository has. A blob that another one has is not shown: whoever may read this one need not be allowed to read that. */
interface Repository {
  blobs: Set<Digest>;
  /** The media type of each manifest. */
  manifests: Map<Digest, string>;
  tags: Map<string, Digest>;
}

interface Request {
  request: IncomingMessage;
  response: ServerResponse;
  query: URLSearchParams;
  repository: Repository;
  /** The repository's name, and what follows `manifests/`, `blobs/` or `uploads/`. */
  path: string;
  name: string;
}

/** Bytes. */
const MANIFEST_LIMIT = 4 << 20;

/**
 * Serves the distribution specification's pull and push, so far as one machine's trials need it: everybody may do everything, and nothing
 * is ever removed. It does not look at what it sends: whoever pulls has the digest.
 * Source: OCI distribution-spec, "Endpoints" and "Error Codes".
 * @param meddle may answer a request itself, as no good registry would: then it returns true
 */
export async function serveRegistry(
  dir: string,
  meddle: (request: IncomingMessage, response: ServerResponse) => boolean = () => false,
): Promise<RegistryServer> {
  const [blobs, uploads] = [join(dir, 'blobs', 'sha256'), join(dir, 'uploads')];
  for (const path of [blobs, uploads]) await mkdir(path, { recursive: true });
  const blobPath = (digest: Digest): string => join(blobs, digestHex(digest));
  const repositories = new Map<string, Repository>();

  const ROUTES: [methods: string[], part: RegExp, handler: (request: Request) => Promise<void>][] = [
    [['HEAD', 'GET'], /^manifests\/([\w.:-]+)$/, getManifest],
    [['PUT'], /^manifests\/([\w.:-]+)$/, putManifest],
    [['HEAD', 'GET'], /^blobs\/(sha256:[\da-f]{64})$/, getBlob],
    [['POST'], /^blobs\/uploads\/()$/, beginUpload],
    [['GET'], /^blobs\/uploads\/([\w-]+)$/, tellUpload],
    [['PATCH'], /^blobs\/uploads\/([\w-]+)$/, takePiece],
    [['PUT'], /^blobs\/uploads\/([\w-]+)$/, endUpload],
  ];

  async function getManifest({ request, response, repository, path, name }: Request): Promise<void> {
    const digest = repository.tags.get(name) ?? (name as Digest);
    const type = repository.manifests.get(digest);
    if (type === undefined) throw refusal(404, 'MANIFEST_UNKNOWN', `${path} has no manifest ${name}`);
    await send(request, response, digest, { 'Content-Type': type, 'Docker-Content-Digest': digest });
  }

  async function putManifest({ request, response, repository, path, name }: Request): Promise<void> {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of request as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > MANIFEST_LIMIT) throw refusal(413, 'SIZE_INVALID', 'a manifest has at most 4 MiB');
    }
    const bytes = Buffer.concat(chunks);
    const digest = digestOf(bytes);
    if (name.includes(':') && name !== digest)
      throw refusal(400, 'DIGEST_INVALID', `the manifest’s digest is ${digest}`);
    for (const part of partsOf(bytes))
      if (!repository.blobs.has(part) && !repository.manifests.has(part))
        throw refusal(404, 'MANIFEST_BLOB_UNKNOWN', `${path} has no ${part}: send it first`);
    await writeFile(blobPath(digest), bytes);
    repository.manifests.set(digest, request.headers['content-type'] ?? '');
    if (!name.includes(':')) repository.tags.set(name, digest);
    created(response, `/v2/${path}/manifests/${digest}`, digest);
  }

  async function getBlob({ request, response, repository, path, name }: Request): Promise<void> {
    if (!repository.blobs.has(name as Digest))
      throw refusal(404, 'BLOB_UNKNOWN', `${path} has no blob ${name}`);
    await send(request, response, name as Digest, { 'Content-Type': 'application/octet-stream' });
  }

  /** Sends a file, or what is left of it after a byte: `Range: bytes=N-`. */
  async function send(
    request: IncomingMessage,
    response: ServerResponse,
    digest: Digest,
    headers: Record<string, string>,
  ): Promise<void> {
    const { size } = await stat(blobPath(digest));
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    if (from > 0 && from >= size) throw refusal(416, 'RANGE_INVALID', `${digest} has ${size} bytes`);
    response.writeHead(from > 0 ? 206 : 200, {
      ...headers,
      'Content-Length': size - from,
      ...(from > 0 && { 'Content-Range': `bytes ${from}-${size - 1}/${size}` }),
    });
    if (request.method === 'HEAD') response.end();
    else await pipeline(createReadStream(blobPath(digest), { start: from }), response);
  }

  /** Begins one; or, when another repository has the blob and is named, it is had here too, and nothing need be sent. */
  async function beginUpload({ response, query, repository, path }: Request): Promise<void> {
    const [digest, from] = [query.get('mount') ?? '', query.get('from') ?? ''];
    if (repositories.get(from)?.blobs.has(digest as Digest)) {
      repository.blobs.add(digest as Digest);
      return created(response, `/v2/${path}/blobs/${digest}`, digest);
    }
    const id = randomUUID();
    await writeFile(join(uploads, id), '');
    await standing(response, 202, path, id);
  }

  async function tellUpload({ response, path, name }: Request): Promise<void> {
    await standing(response, 204, path, name);
  }

  async function takePiece({ request, response, path, name }: Request): Promise<void> {
    const size = await sizeOf(name);
    const from = Number(/^(\d+)-/.exec(request.headers['content-range'] ?? '')?.[1] ?? size);
    if (from !== size) throw refusal(416, 'BLOB_UPLOAD_INVALID', `it stands at byte ${size}`);
    await pipeline(request, createWriteStream(join(uploads, name), { flags: 'a' }));
    await standing(response, 202, path, name);
  }

  async function endUpload({ request, response, query, repository, path, name }: Request): Promise<void> {
    await sizeOf(name);
    const file = join(uploads, name);
    await pipeline(request, createWriteStream(file, { flags: 'a' }));
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
    const digest: Digest = `sha256:${hash.digest('hex')}`;
    if (query.get('digest') !== digest) {
      await rm(file);
      throw refusal(400, 'DIGEST_INVALID', `what came has the digest ${digest}`);
    }
    await rename(file, blobPath(digest));
    repository.blobs.add(digest);
    created(response, `/v2/${path}/blobs/${digest}`, digest);
  }

  async function standing(response: ServerResponse, status: number, path: string, id: string): Promise<void> {
    const size = await sizeOf(id);
    response.writeHead(status, {
      Location: `/v2/${path}/blobs/uploads/${id}`,
      Range: `0-${Math.max(size - 1, 0)}`,
    });
    response.end();
  }

  async function sizeOf(id: string): Promise<number> {
    const known = await stat(join(uploads, id)).catch(() => undefined);
    if (!known) throw refusal(404, 'BLOB_UPLOAD_UNKNOWN', `no upload ${id} is open`);
    return known.size;
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'http://registry');
    if (url.pathname === '/v2/') return void response.end('{}');
    const [, path = '', part = ''] = NAME.exec(url.pathname) ?? [];
    const route = ROUTES.find(([methods, wanted]) => methods.includes(request.method!) && wanted.test(part));
    if (!route) throw refusal(404, 'UNSUPPORTED', `${request.method} ${url.pathname} leads nowhere`);
    const repository: Repository = repositories.get(path) ?? {
      blobs: new Set(),
      manifests: new Map(),
      tags: new Map(),
    };
    repositories.set(path, repository);
    const name = route[1].exec(part)![1]!;
    await route[2]({ request, response, query: url.searchParams, repository, path, name });
  }

  const log: string[] = [];
  const server = createServer();
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    response.on('close', () => log.push(`${request.method} ${request.url} ${response.statusCode}`));
    if (meddle(request, response)) return;
    if (request.headers.expect) response.writeContinue();
    answer(request, response).catch((error: unknown) => refuse(response, error));
  });
  // Whoever sends much asks first whether it is wanted: RFC 9110, section 10.1.1.
  server.on('checkContinue', (...asked) => server.emit('request', ...asked));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    log,
    blobPath,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** `/v2/NAME/…`: the name may have slashes, and its parts are small letters, digits, and single marks between them. */
const NAME =
  /^\/v2\/((?:[a-z\d]+(?:(?:[._]|__|-+)[a-z\d]+)*\/)*[a-z\d]+(?:(?:[._]|__|-+)[a-z\d]+)*)\/((?:manifests|blobs)\/.*)$/;

/** What a manifest or an index names. @throws RegistryError when it is neither */
function partsOf(bytes: Buffer): Digest[] {
  try {
    const { config, layers = [], manifests = [] } = JSON.parse(bytes.toString()) as Record<string, never>;
    const named = [...(config ? [config] : []), ...layers, ...manifests] as { digest: string }[];
    return named.map(({ digest }) => parseDigest(digest));
  } catch (error) {
    throw refusal(400, 'MANIFEST_INVALID', `no manifest: ${(error as Error).message}`);
  }
}

function created(response: ServerResponse, location: string, digest: string): void {
  response.writeHead(201, { Location: location, 'Docker-Content-Digest': digest }).end();
}

const refusal = (status: number, code: string, message: string): RegistryError =>
  new RegistryError(status, message, { code });

function refuse(response: ServerResponse, error: unknown): void {
  // Too late for words: the client sees a connection that broke off.
  if (response.headersSent) return void response.destroy();
  const { status, code } = error instanceof RegistryError ? error : { status: 500, code: 'UNKNOWN' };
  const { message } = error as Error;
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify({ errors: [{ code, message }] }));
}
