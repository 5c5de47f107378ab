import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  digestOf,
  MEDIA_TYPE,
  openContentStore,
  parseReference,
  pullImage,
  pushImage,
  writeBlob,
  type ContentStore,
  type Descriptor,
  type Progress,
  type PushOptions,
} from '../index.ts';
import { serveRegistry, type RegistryServer } from '../registry-server.ts';
import { scratch } from './scratch.ts';

/** What a push does with a registry in order, and with one that is not: case by case. */
let registry: RegistryServer;
let content: ContentStore;
/** Goes in four pieces of 10,000 bytes and one of 5,000. */
let layer: Buffer;
let target: Descriptor;
type Meddler = (request: IncomingMessage, response: ServerResponse) => boolean;
let meddlers: Meddler[];
beforeEach(async () => {
  meddlers = [];
  registry = await serveRegistry(scratch(), (...asked) => meddlers.some((meddler) => meddler(...asked)));
  content = await openContentStore(scratch());
  layer = randomBytes(45_000);
  target = await image(layer);
});
afterEach(() => registry.stop());

async function image(...layers: Buffer[]): Promise<Descriptor> {
  const put = async (mediaType: string, bytes: Buffer): Promise<Descriptor> => {
    const { digest, size } = await writeBlob(content, bytes);
    return { mediaType, digest, size };
  };
  const document = (value: object): Buffer => Buffer.from(JSON.stringify(value));
  const config = document({
    os: 'linux',
    architecture: 'amd64',
    rootfs: { type: 'layers', diff_ids: layers.map(digestOf) },
  });
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.manifest,
    config: await put(MEDIA_TYPE.config, config),
    layers: await Promise.all(layers.map((bytes) => put(MEDIA_TYPE.layer, bytes))),
  };
  return put(MEDIA_TYPE.manifest, document(manifest));
}

const push = (name = 'app:1', options: PushOptions = {}, what = target) =>
  pushImage(content, what, parseReference(`${registry.host}/${name}`), {
    pause: 1,
    tries: 3,
    pieceSize: 10_000,
    ...options,
  });
const pulled = async (name = 'app:1'): Promise<string> => {
  const store = await openContentStore(scratch());
  const { target } = await pullImage(store, parseReference(`${registry.host}/${name}`));
  return target.digest;
};
const asked = (pattern: RegExp): string[] => registry.log.filter((line) => pattern.test(line));
/** Of the layer, not of the configuration, whose upload is smaller than a piece. */
const PATCH = /^PATCH/;

/** Answers, instead of the registry, the first `times` requests that have such a method and address, after the first `after` of them. */
function meddle(
  pattern: RegExp,
  answer: (response: ServerResponse, request: IncomingMessage) => void,
  { after = 0, times = Infinity } = {},
): void {
  let seen = 0;
  meddlers.push((request, response) => {
    if (!pattern.test(`${request.method} ${request.url}`)) return false;
    if (seen++ < after || seen > after + times) return false;
    answer(response, request);
    return true;
  });
}
const status =
  (code: number, headers: Record<string, string> = {}, body = '') =>
  (response: ServerResponse): void =>
    void response.writeHead(code, headers).end(body);
const refusal = (code: string, message: string): string => JSON.stringify({ errors: [{ code, message }] });

describe('a push', () => {
  test('sends layers in pieces, the configuration, and the manifest last; the next one sends nothing', async () => {
    expect((await push()).digest).toBe(target.digest);
    expect(await pulled()).toBe(target.digest);
    expect(asked(PATCH).map((line) => line.split(' ').at(-1))).toEqual(['202', '202', '202', '202']);
    expect(asked(/^P/).at(-1)).toBe('PUT /v2/app/manifests/1 201');
    expect(readFileSync(registry.blobPath(digestOf(layer))).equals(layer)).toBe(true);
    registry.log.length = 0;
    const lines: Progress[] = [];
    await push('app:2', { report: (line) => lines.push(line) });
    expect(lines.map(({ status }) => status)).toContain('Layer already exists');
    expect(asked(/^(POST|PATCH)/)).toEqual([]);
  });

  test('tells about each layer what Docker tells, from the first byte to the last', async () => {
    const lines: Progress[] = [];
    await push('app:1', { report: (line) => lines.push(line) });
    const id = digestOf(layer).slice(7, 19);
    const own = lines.filter((line) => line.id === id);
    expect([...new Set(own.map(({ status }) => status))]).toEqual(['Preparing', 'Pushing', 'Pushed']);
    expect(own.at(-2)).toMatchObject({ current: layer.length, total: layer.length });
    expect(lines[0]).toEqual({ status: `The push refers to repository [${registry.host}/app]` });
    expect(lines.at(-1)).toEqual({ status: `1: digest: ${target.digest} size: ${target.size}` });
  });

  test('has a layer mounted that another repository has; where it may not, it sends it', async () => {
    await push('first:1');
    await push('second:1');
    expect(asked(/^POST .*\/second\/.*mount=/).map((line) => line.split(' ').at(-1))).toEqual(['201', '201']);
    expect(asked(/^P.*\/second\/blobs\/uploads\/\w/)).toEqual([]);
    for (const code of [400, 401, 403, 404, 405]) {
      const name = `third${code}`;
      meddle(new RegExp(`^POST .*/${name}/.*mount`), status(code));
      await push(`${name}:1`);
      expect(await pulled(`${name}:1`)).toBe(target.digest);
    }
  });
});

describe('a registry that', () => {
  test.each<[string, () => void, string | undefined, RegExp, number]>([
    ['closes in the middle of a piece', () => meddle(PATCH, (response) => response.destroy(), { after: 1, times: 1 }), undefined, PATCH, 5],
    ['is in trouble for a moment', () => meddle(PATCH, status(503), { after: 2, times: 2 }), undefined, PATCH, 6],
    ['has forgotten the upload', () => meddle(PATCH, status(404, {}, refusal('BLOB_UPLOAD_UNKNOWN', 'unknown')), { after: 2, times: 1 }), undefined, PATCH, 7],
    ['has forgotten it at the end', () => meddle(/^PUT .*uploads/, status(404), { times: 1 }), undefined, /^POST/, 3],
    ['says that a piece is out of order', () => meddle(PATCH, status(416), { after: 1, times: 1 }), undefined, PATCH, 6],
    ['forgets each upload', () => meddle(PATCH, status(404, {}, refusal('BLOB_UPLOAD_UNKNOWN', 'no upload')), { after: 1 }), 'the upload was lost: upload of', PATCH, 4],
    ['takes a piece, fails, and has it not', () => {
      meddle(PATCH, (response, { url }) => response.writeHead(202, { Location: url! }).end());
      meddle(/^PUT .*uploads/, status(500));
      meddle(/^GET .*uploads/, (response, { url }) => response.writeHead(204, { Location: url!, Range: '0-0' }).end());
    }, 'HTTP status: 500', PATCH, 12],
    ['claims to have more than there is', () => {
      meddle(PATCH, status(500), { after: 1 });
      meddle(/^GET .*uploads/, (response) => response.writeHead(204, { Range: '0-99999999' }).end());
    }, 'HTTP status: 500', PATCH, 3],
    ['does not say where to', () => meddle(/^POST/, status(202)), 'the registry does not say where to (Location)', /^POST/, 2],
    ['says nonsense for a place', () => meddle(/^POST/, status(202, { Location: 'http://[' })), 'the registry does not say where to', /^POST/, 2],
    ['sends it to a file', () => meddle(/^POST/, status(202, { Location: 'file:///etc/passwd' })), 'sends it to "file:///etc/passwd": refused', /^POST/, 2],
    ['takes no layer so large', () => meddle(PATCH, status(413, {}, '<html>')), 'larger than the registry, or a proxy before it, takes (HTTP status 413)', PATCH, 1],
    ['allows no push', () => meddle(/^POST/, status(403, {}, refusal('DENIED', 'requested access to the resource is denied'))), 'app: denied: requested access', /^POST/, 2],
    ['has other bytes in the end', () => meddle(/^PUT .*uploads/, status(400, {}, refusal('DIGEST_INVALID', 'no match'))), 'digest invalid: no match', /^PUT .*uploads/, 2],
    ['is in trouble each time', () => meddle(/^POST/, status(502)), 'received unexpected HTTP status: 502 Bad Gateway', /^POST/, 6],
    ['redirects an upload', () => meddle(/^POST/, status(307, { Location: '/elsewhere' })), 'HTTP status: 307', /^POST/, 2],
    ['asks for an hour’s pause', () => meddle(/^POST/, status(429, { 'Retry-After': '3600' })), 'left alone for 3600 s', /^POST/, 2],
    ['takes no such manifest', () => meddle(/^PUT .*manifests/, status(400, {}, refusal('MANIFEST_INVALID', 'no'))), 'app: manifest invalid: no', /^PUT .*manifests/, 1],
    ['takes another manifest', () => meddle(/^PUT .*manifests/, status(201, { 'Docker-Content-Digest': digestOf('x') })), `took "${digestOf('x')}" for`, /^PUT .*manifests/, 1],
    ['cannot say what it has', () => meddle(/^HEAD/, status(500)), 'HTTP status: 500', /^HEAD/, 6],
  ])('%s', async (_, begin, says, pattern, times) => {
    begin();
    const outcome = await push().then(() => undefined, String);
    if (says === undefined) {
      expect(outcome).toBeUndefined();
      expect(await pulled()).toBe(target.digest);
    } else {
      expect(outcome).toContain(says);
      if (!says.includes('took')) expect(asked(/PUT .*manifests\/1 201/)).toEqual([]);
    }
    expect(asked(pattern).length, registry.log.join('\n')).toBe(times);
    // Nothing has changed here, and when it has recovered, all is well.
    meddlers.length = 0;
    await push();
    expect(await pulled()).toBe(target.digest);
  }); // prettier-ignore

  test('answers 413 before it has read anything: that is what is said, and nothing is sent for nothing', async () => {
    const large = await image(randomBytes(8 << 20));
    let came = 0;
    meddle(PATCH, (response, request) => {
      request.on('data', (chunk: Buffer) => (came += chunk.length));
      response.writeHead(413, { Connection: 'close' }).end('<html>');
    });
    await expect(push('app:1', { pieceSize: 4 << 20 }, large)).rejects.toThrow('(HTTP status 413)');
    expect(came).toBe(0);
  });

  test('wants a new token in the middle of a layer gets it, and the piece once more', async () => {
    let good = 'token-1';
    const tokens: string[] = [];
    meddle(/\/token/, (response) => {
      tokens.push(good);
      response.end(JSON.stringify({ token: good }));
    });
    meddlers.push((request, response) => {
      if (request.headers.authorization === `Bearer ${good}`) return false;
      // Not before it has all of what was sent for nothing, as a registry behind a proxy has.
      request.resume().on('end', () => {
        const challenge = `Bearer realm="http://${registry.host}/token",service="s",scope="repository:app:pull,push"`;
        response.writeHead(401, { 'WWW-Authenticate': challenge }).end();
      });
      return true;
    });
    meddlers.push(({ method }) => {
      if (method === 'PATCH' && good === 'token-1') good = 'token-2';
      return false;
    });
    // One after the other: two at once would each see that the token has ended.
    await push('app:1', { width: 1 });
    expect(tokens).toEqual(['token-1', 'token-2']);
    expect(await pulled()).toBe(target.digest);
  });

  test('says nothing is given up with, and at once when its caller gives up', async () => {
    meddle(PATCH, () => undefined);
    await expect(push('app:1', { stall: 1000, tries: 2 })).rejects.toThrow('the registry stalls');
    await expect.poll(() => asked(PATCH).length, { timeout: 10_000 }).toBe(2);
    const gone = new AbortController();
    const pushing = push('app:1', { stall: 3_600_000, signal: gone.signal });
    pushing.catch(() => undefined);
    meddle(PATCH, () => gone.abort(new Error('interrupted')));
    meddlers.reverse();
    await expect(pushing).rejects.toThrow('interrupted');
  });
});
