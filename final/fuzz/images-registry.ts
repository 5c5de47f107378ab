import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { digestOf, MEDIA_TYPE } from '../../chapters/04-overlayfs/index.ts';
import { below, mutateBytes, pick, type Next } from './images-bytes.ts';
import { CHALLENGES, linked, type Documents } from './images-samples.ts';

/** A registry on loopback that answers as `answer` says. */
export interface WildRegistry {
  host: string;
  answer: (request: IncomingMessage, response: ServerResponse) => void;
  stop(): Promise<void>;
}

export async function wildRegistry(): Promise<WildRegistry> {
  const server = createServer((request, response) => registry.answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const registry: WildRegistry = {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    answer: (_, response) => void response.end(),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return registry;
}

const STATUSES = [
  100, 101, 200, 201, 204, 206, 300, 301, 302, 304, 307, 308, 400, 401, 403, 404, 416, 429, 500, 502, 503,
  599,
];

/** Answers by chance: mostly what was asked for, now and then with another status, another header, other bytes, or not to its end. */
export function wildAnswers(
  next: Next,
  documents: Documents,
  layers: readonly Buffer[],
  host: string,
): WildRegistry['answer'] {
  const { blobs, index } = linked(documents);
  const byName = new Map<string, Buffer>();
  for (const bytes of [...blobs, ...layers]) byName.set(digestOf(bytes), bytes);
  byName.set('1', next() < 0.5 ? Buffer.from(JSON.stringify(index) ?? '') : blobs[1]!);
  // As wild as this one is, so often does it misbehave.
  const wild = next() < 0.3 ? 0 : next() * 0.4;
  return (request, response) => {
    const name = decodeURIComponent(request.url!.split('?')[0]!).split('/').at(-1)!;
    const known = request.url!.startsWith('/token')
      ? Buffer.from(
          pick(next, [
            '{"token":"t"}',
            '{"access_token":"t","expires_in":-5}',
            '{}',
            '[]',
            'null',
            '{"token":{"a":1}}',
            '<html>',
          ]),
        )
      : request.url === '/v2/'
        ? Buffer.from('{}')
        : byName.get(name);
    let bytes = known ?? Buffer.from('{"errors":[{"code":"NOT_FOUND"}]}');
    const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    let status = known ? (from > 0 ? 206 : 200) : 404;
    const headers: Record<string, string> = {
      'Content-Type':
        request.url!.includes('/manifests/') && known ? typeOf(known) : 'application/octet-stream',
      ...(from > 0 && { 'Content-Range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` }),
    };
    bytes = bytes.subarray(from);
    if (next() < wild) status = pick(next, STATUSES.slice(2));
    if (next() < wild) bytes = mutateBytes(bytes, next);
    if (next() < wild || status === 401) Object.assign(headers, wildHeader(next, host));
    if (next() < wild * 0.3) headers['Content-Length'] = String(below(next, bytes.length * 3));
    if (next() < wild * 0.2) return void request.socket.destroy();
    response.on('error', () => undefined);
    response.writeHead(status, headers);
    // What claims to be longer than it is ends with the connection.
    response.end(bytes, () => {
      if (headers['Content-Length'] !== undefined) response.socket?.destroy();
    });
  };
}

function wildHeader(next: Next, host: string): Record<string, string> {
  const places = [
    '/v2/',
    '/elsewhere',
    '',
    'http://',
    '::::',
    'file:///etc/passwd',
    'http://127.0.0.1:1/',
    `http://${host}/v2/a/blobs/x`,
    'https://[/',
    '//',
  ];
  return pick(next, [
    { 'Location': pick(next, places) },
    { 'WWW-Authenticate': pick(next, CHALLENGES) },
    { 'WWW-Authenticate': `Bearer realm="http://${host}/token",service="s"` },
    { 'Docker-Content-Digest': pick(next, ['sha256:0', `sha256:${'0'.repeat(64)}`, 'md5:x', '']) },
    { 'Content-Type': pick(next, ['text/html', '', MEDIA_TYPE.index, MEDIA_TYPE.dockerManifest, 'a;b;c', ';']) },
    { 'Content-Range': pick(next, ['bytes 1-2/3', 'bytes */5', 'bytes x-y/z', 'bytes 99999999999999999999-', '']) },
    { 'Content-Encoding': 'gzip' },
    { 'Retry-After': pick(next, ['0', '-1', 'soon', 'Wed, 21 Oct 2015 07:28:00 GMT']) },
    { 'Transfer-Encoding': 'chunked' },
  ]); // prettier-ignore
}

function typeOf(bytes: Buffer): string {
  try {
    const { mediaType } = JSON.parse(bytes.toString()) as { mediaType?: unknown };
    if (typeof mediaType === 'string' && /^[ -~]*$/.test(mediaType)) return mediaType;
  } catch {
    // Something else.
  }
  return MEDIA_TYPE.manifest;
}
