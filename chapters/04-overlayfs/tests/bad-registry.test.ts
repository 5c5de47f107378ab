import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  digestOf,
  MEDIA_TYPE,
  openContentStore,
  parseReference,
  pullImage,
  type ContentStore,
  type PullOptions,
} from '../index.ts';
import { authorizer } from '../registry-auth.ts';
import type { Http } from '../registry-http.ts';
import { fakeRegistry, type FakeRegistry } from './fake-registry.ts';
import { scratch } from './scratch.ts';

/** What a pull does about a registry that is broken, overloaded, or hostile: case by case. */
let registry: FakeRegistry;
let other: FakeRegistry;
let content: ContentStore;
/** The one layer of `app:1`. */
let layer: Buffer;
beforeEach(async () => {
  [registry, other] = [await fakeRegistry(), await fakeRegistry()];
  content = await openContentStore(scratch());
  layer = randomBytes(20_000);
  registry.addImage('1', [layer]);
});
afterEach(async () => {
  await registry.stop();
  await other.stop();
});

const pull = (options: PullOptions = {}, name = 'app:1') =>
  pullImage(content, parseReference(`${registry.host}/${name}`), {
    pause: 1,
    tries: 4,
    platform: { os: 'linux', architecture: 'amd64' },
    ...options,
  });
const asked = (pattern: string): number =>
  registry.requests.filter((request) => request.includes(pattern)).length;
const login: PullOptions = { credentials: async () => ({ username: 'me', password: 'secret' }) };

/** Answers a request, in the place of the well-behaved registry. `from`: the byte that was asked for, 0 without a range. */
type Answer = (response: ServerResponse, request: IncomingMessage, from: number) => void;
/** Misbehaves in the first `times` requests whose address has `part` in it. */
function misbehave(part: string, answer: Answer, times = Infinity): void {
  const before = registry.misbehave;
  let left = times;
  registry.misbehave = (request, response) => {
    if (before(request, response)) return true;
    if (!request.url!.includes(part) || left-- <= 0) return false;
    answer(response, request, Number(/\d+/.exec(request.headers.range ?? '0')![0]));
    return true;
  };
}
const status =
  (code: number, headers: Record<string, string | number> = {}, body = ''): Answer =>
  (response) =>
    void response.writeHead(code, headers).end(body);
const nothing: Answer = () => undefined;
const hangUp: Answer = (response) => void response.destroy();
/** The layer from the byte on that was asked for, and after `length` bytes of it something else. */
const partOf =
  (length: number, then: 'stalls' | 'closes', knowsRanges = true): Answer =>
  (response, _, asked) => {
    const from = knowsRanges ? asked : 0;
    response.writeHead(from > 0 ? 206 : 200, {
      'Content-Length': layer.length - from,
      ...(from > 0 && { 'Content-Range': `bytes ${from}-${layer.length - 1}/${layer.length}` }),
    });
    response.write(layer.subarray(from, from + length), () => {
      if (then === 'closes') response.destroy();
    });
  };
const MANIFEST = '/manifests/';
/** For those who say nothing: twice so long, and it is over. */
const SHORT: PullOptions = { stall: 1000, tries: 2 };
/** Of the layer. The configuration is a blob as well. */
const BLOB = (): string => digestOf(layer);

/** Everything in the store is what its name says, and of what broke off there is at most a right beginning. */
async function storeIsSound(): Promise<void> {
  for (const { digest } of await content.list()) expect(digestOf(await content.readAll(digest))).toBe(digest);
  for (const { ref, offset, expected } of await content.statuses()) {
    expect([ref, offset > 0]).toEqual([`blob-${BLOB()}`, true]);
    const writer = await content.writer(ref, { expected: expected! });
    const digest = writer.digest();
    await writer.close();
    expect(digest).toBe(digestOf(layer.subarray(0, offset)));
  }
}

interface Case {
  what: string;
  when: () => void;
  /** What the error says; nothing: the pull succeeds in the end. */
  says?: string | RegExp;
  /** How many requests had this in their address. */
  asked: [part: () => string, times: number];
  options?: PullOptions;
}
const blob = (
  what: string,
  answer: Answer,
  says: Case['says'],
  times: number,
  options?: PullOptions,
): Case => ({
  what: `for a layer ${what}`,
  when: () => misbehave(BLOB(), answer),
  ...(says !== undefined && { says }),
  asked: [BLOB, times],
  ...(options && { options }),
});
const manifest = (...[what, answer, says, times, options]: Parameters<typeof blob>): Case => ({
  ...blob(what, answer, says, times, options),
  what: `for a manifest ${what}`,
  when: () => misbehave(MANIFEST, answer),
  asked: [() => MANIFEST, times],
});
const redirected =
  (to: () => string): Answer =>
  (response) =>
    void response.writeHead(307, { Location: to() }).end();

const CASES: Case[] = [
  manifest('says nothing', nothing, /manifests\/1: no byte for 1 s: the registry stalls/, 2, SHORT),
  manifest('hangs up', hangUp, /GET .*manifests\/1: socket hang up/, 4),
  manifest('stalls in the middle', (response) => void response.writeHead(200).write('{'), 'the registry stalls', 2, SHORT),
  manifest('answers 404', status(404), /^RegistryError: manifest for 127.*\/app:1: not found$/, 1),
  manifest(
    'does not know it',
    status(404, {}, '{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{}}]}'),
    'app:1: manifest unknown: manifest unknown',
    1,
  ),
  manifest('answers 403', status(403), 'app:1: denied: requested access to the resource is denied', 1),
  manifest('answers 401 and does not say what it wants', status(401), 'app:1: unauthorized: authentication required', 1),
  manifest(
    'wants a login of another kind',
    status(401, { 'WWW-Authenticate': 'Negotiate' }),
    'asks for the login "Negotiate": only Basic and Bearer are known',
    1,
  ),
  manifest('wants a password', status(401, { 'WWW-Authenticate': 'Basic' }), 'no basic auth credentials', 1),
  manifest(
    'takes no password',
    status(401, { 'WWW-Authenticate': 'Basic realm="x"' }),
    'app:1: unauthorized: authentication required',
    2,
    login,
  ),
  manifest(
    'sends to a token server that is no address',
    status(401, { 'WWW-Authenticate': 'Bearer realm="file:///etc/passwd"' }),
    'a token server at "file:///etc/passwd": no address',
    1,
  ),
  manifest('answers 500 each time', status(500, {}, '<html>'), 'received unexpected HTTP status: 500 Internal Server Error', 4),
  manifest('answers 429 each time', status(429, { 'Retry-After': '0' }), 'app:1: toomanyrequests: too many requests', 4),
  manifest(
    'asks for an hour’s pause',
    status(429, { 'Retry-After': '3600' }, '{"errors":[{"code":"TOOMANYREQUESTS","message":"rate limit"}]}'),
    'app:1: toomanyrequests: rate limit (it asks to be left alone for 3600 s)',
    1,
  ),
  manifest(
    'asks to be left alone until next year',
    (response) => void response.writeHead(503, { 'Retry-After': new Date(Date.now() + 3e10).toUTCString() }).end(),
    /\(it asks to be left alone for \d+ s\)/,
    1,
  ),
  manifest(
    'is refused with what no terminal should be shown',
    status(403, {}, JSON.stringify({ errors: [{ code: 7, message: `\x1b[2J\u202eno\n${'x'.repeat(9999)}` }] })),
    /app:1: \[2J no x{290,300}…$/,
    1,
  ),
  manifest(
    'is refused, and that breaks off',
    (response) => void response.writeHead(404, { 'Content-Length': 9 }).write('{', () => response.destroy()),
    'app:1: not found',
    1,
  ),
  manifest(
    'announces another digest',
    (response) =>
      void response
        .writeHead(200, { 'Docker-Content-Digest': digestOf('x') })
        .end(registry.manifests.get('1')!.bytes),
    `not "${digestOf('x')}"`,
    1,
  ),
  manifest('sends without end', (response) => drip(response), 'more than 4194304 bytes: refused', 1),

  blob('says nothing', nothing, 'the registry stalls', 2, SHORT),
  blob('hangs up', hangUp, 'socket hang up', 4),
  blob('stalls after a byte each time, and so gets on', partOf(8000, 'stalls'), undefined, 3, SHORT),
  blob('closes after a part each time, and so gets on', partOf(5000, 'closes'), undefined, 4),
  blob('knows no ranges, and closes after a part each time', partOf(5000, 'closes', false), 'the connection broke off', 4),
  blob('knows no ranges, and stalls after a part each time', partOf(5000, 'stalls', false), 'the registry stalls', 2, SHORT),
  blob('is not there', status(404), /^RegistryError: blob sha256:\w+ of 127.*\/app: not found$/, 1),
  blob('answers 502 each time', status(502), 'received unexpected HTTP status: 502 Bad Gateway', 4),
  blob('is redirected in a circle', redirected(() => `/v2/app/blobs/${BLOB()}`), /redirected without end: to http/, 6),
  blob('is redirected to a file', redirected(() => 'file:///etc/passwd'), 'redirected to "file:///etc/passwd": only http', 1),
  blob('is redirected to nowhere', redirected(() => 'http://127.0.0.1:1/x'), 'ECONNREFUSED', 4),
  blob('has fewer bytes than announced', (response) => void response.end(layer.subarray(1)), 'smaller than the 20000', 1),
  blob(
    'has fewer bytes, and no length',
    (response) => void response.writeHead(200).write(layer.subarray(0, -1), () => response.end()),
    '19999 of 20000 bytes came',
    4,
  ),
  blob('has more bytes than announced', (response) => void response.end(Buffer.alloc(20_001)), 'larger than the 20000', 1),
  blob('sends without end', (response) => drip(response), 'larger than the 20000 bytes announced', 1),
  blob('has other bytes', (response) => void response.end(Buffer.alloc(20_000)), 'layer verification failed for digest', 1),
  blob(
    'claims a length that it has not',
    (response) => void response.writeHead(200, { 'Content-Length': 30_000 }).end(layer),
    'larger than the 20000 bytes announced: 30000',
    1,
  ),
  blob('answers a part when asked for all', status(206, { 'Content-Range': 'bytes 5-9/20000' }, 'abcde'), /got the part "bytes 5/, 1),
]; // prettier-ignore

function drip(response: ServerResponse): void {
  response.writeHead(200);
  const more = (): void => {
    while (!response.destroyed && response.write(Buffer.alloc(100_000)));
  };
  response.on('drain', more);
  more();
}

describe('a registry that', () => {
  test.each(CASES)('$what', async ({ when, says, asked: [part, times], options }) => {
    when();
    const outcome = await pull(options).then(() => undefined, String);
    if (says === undefined) expect(outcome).toBeUndefined();
    else expect(outcome).toMatch(says);
    expect(asked(part()), registry.requests.join('\n')).toBe(times);
    await storeIsSound();
    // And when it has recovered, all is well.
    registry.misbehave = () => false;
    await pull();
    expect((await content.readAll(BLOB())).equals(layer)).toBe(true);
  });

  test.each([
    ['429', status(429)],
    ['429 with a pause in seconds', status(429, { 'Retry-After': '0' })],
    ['503 with a date that has passed', status(503, { 'Retry-After': 'Wed, 21 Oct 2015 07:28:00 GMT' })],
    ['500', status(500)],
    ['nothing at all', nothing],
    ['a closed connection', hangUp],
  ])('answers once %s, is asked again', async (_, answer) => {
    // Who says nothing to the first request of all is taken for nobody.
    const parts = [...(answer === nothing ? [] : ['/v2/']), MANIFEST, BLOB()];
    for (const part of parts) misbehave(part, answer, 1);
    const { fetched } = await pull({ stall: 1000 });
    expect(fetched).toBeGreaterThan(layer.length);
  });
});

/** Listens, and never accepts; its queue is full. What the kernel gets for it, it drops. */
const DEAF = `require('net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, function () {
  console.log(this.address().port);
})`;

test('a registry that cannot even be connected to is given up as one that says nothing', async () => {
  const deaf = spawn(process.execPath, ['-e', DEAF], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 60_000,
  });
  const callers: Socket[] = [];
  try {
    const [port] = (await once(deaf.stdout, 'data')) as [Buffer];
    deaf.kill('SIGSTOP');
    for (let i = 0; i < 4; i++) callers.push(connect(Number(port), '127.0.0.1').on('error', () => undefined));
    const reference = parseReference(`127.0.0.1:${Number(port)}/app`);
    const pulling = pullImage(content, reference, { ...SHORT, pause: 1 });
    await expect(pulling).rejects.toThrow('/v2/: no byte for 1 s: the registry stalls');
  } finally {
    for (const caller of callers) caller.destroy();
    const ended = once(deaf, 'exit');
    deaf.kill('SIGKILL');
    if (deaf.exitCode === null && deaf.signalCode === null) await ended;
  }
});

describe('a download that goes on', () => {
  beforeEach(async () => {
    const left = await content.writer(`blob-${BLOB()}`, { expected: BLOB(), total: layer.length });
    await left.write(layer.subarray(0, 8000));
    await left.close();
  });
  const part = (range: string | undefined, bytes: () => Buffer): Answer =>
    (response) => void response.writeHead(206, range ? { 'Content-Range': range } : {}).end(bytes()); // prettier-ignore

  test.each<[string, Answer]>([
    ['that there is nothing there', status(416)],
    ['another part', part('bytes 9000-19999/20000', () => layer.subarray(9000))],
    ['a part that it does not name', part(undefined, () => layer.subarray(8000))],
    ['a part of nonsense', part('bytes x-y/z', () => layer.subarray(8000))],
    ['all of it, as a part', part('bytes 0-19999/20000', () => layer)],
  ])('and is answered %s, begins anew', async (_, answer) => {
    misbehave(BLOB(), answer, 1);
    await pull();
    expect((await content.readAll(BLOB())).equals(layer)).toBe(true);
    expect(asked(BLOB())).toBeLessThanOrEqual(2);
  });

  test('and hears of another size is refused, and nothing stays', async () => {
    misbehave(
      BLOB(),
      part('bytes 8000-19999/30000', () => layer.subarray(8000)),
    );
    await expect(pull()).rejects.toThrow('larger than the 20000 bytes announced: 30000');
    expect(await content.statuses()).toEqual([]);
  });

  test('and is answered 416 each time ends', async () => {
    misbehave(BLOB(), status(416));
    await expect(pull()).rejects.toThrow('HTTP status: 416');
    expect(asked(BLOB())).toBe(2);
  });
});

describe('what a registry says of itself', () => {
  const tag = (name: string, type: string, value: object): void => {
    const bytes = Buffer.from(JSON.stringify(value));
    for (const key of [name, digestOf(bytes)]) registry.manifests.set(key, { type, bytes });
  };
  const config = (text: string, mediaType: string = MEDIA_TYPE.config): void => {
    const bytes = Buffer.from(text);
    registry.blobs.set(digestOf(bytes), bytes);
    const layers = [{ mediaType: MEDIA_TYPE.layer, digest: BLOB(), size: layer.length }];
    const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
    tag('1', MEDIA_TYPE.manifest, { schemaVersion: 2, config: descriptor, layers });
  };
  const index = (entry: object): void => {
    const manifest = registry.manifests.get('1')!;
    const right = { mediaType: manifest.type, digest: digestOf(manifest.bytes), size: manifest.bytes.length };
    tag('1', MEDIA_TYPE.index, { schemaVersion: 2, manifests: [{ ...right, ...entry }] });
  };

  test.each<[string, () => void, string]>([
    ['a configuration that is no JSON', () => config('x'), 'is not JSON'],
    ['a configuration for other layers', () => config('{"rootfs":{"diff_ids":[]}}'), '0 diff_ids for 1 layers'],
    ['a configuration without layers', () => config('{}'), 'is no image configuration: rootfs must be an object'],
    [
      'a chart, and no image',
      () => config('{}', 'application/vnd.cncf.helm.config.v1+json'),
      'no image to run: its configuration is of the type "application/vnd.cncf.helm',
    ],
    ['an index that lies about a size', () => index({ size: 5 }), 'its index says 5 of'],
    ['an index that lies about a type', () => index({ mediaType: MEDIA_TYPE.dockerManifest }), 'its index says'],
    ['an index of what is not there', () => index({ digest: digestOf('x') }), `app@${digestOf('x')}: unknown: not here`],
    [
      'an index for other machines',
      () => index({ platform: { os: 'plan9', architecture: 'mips' } }),
      'no matching manifest for linux/amd64',
    ],
  ])('%s: no layer is fetched', async (_, when, says) => {
    when();
    await expect(pull()).rejects.toThrow(says);
    expect(asked(BLOB())).toBe(0);
    await storeIsSound();
  }); // prettier-ignore
});

describe('a password', () => {
  const seen: string[] = [];
  /** Notes who was shown what, and answers. */
  const watch = (server: FakeRegistry, name: string, answer: Answer): void => {
    const before = server.misbehave;
    server.misbehave = (request, response) => {
      if (!request.url!.includes(name)) return before(request, response);
      seen.push(`${name} ${request.headers.authorization?.split(' ')[0] ?? 'nobody'}`);
      answer(response, request, 0);
      return true;
    };
  };
  const wants = (challenge: string): Answer => status(401, { 'WWW-Authenticate': challenge });
  beforeEach(() => void (seen.length = 0));

  test('follows no redirection to another host, nor back from there', async () => {
    registry.misbehave = (request, response) => {
      if (request.headers.authorization || request.url === '/back') return false;
      wants('Basic realm="x"')(response, request, 0);
      return true;
    };
    watch(registry, 'back', (response) => void response.end(layer));
    watch(
      other,
      'there',
      redirected(() => `http://${registry.host}/back`),
    );
    misbehave(BLOB(), redirected(() => `http://${other.host}/there`)); // prettier-ignore
    await pull(login);
    expect(seen).toEqual(['there nobody', 'back nobody']);
  });

  const token = (): string => `Bearer realm="http://${other.host}/token",service="s"`;
  test.each<[string, Answer, string | undefined]>([
    ['gives a token', status(200, {}, '{"token":"t"}'), undefined],
    ['gives one by its other name', status(200, {}, '{"token":"","access_token":"a.b-c=","expires_in":"x"}'), undefined],
    ['knows no such name', status(401, {}, '{"details":"incorrect username or password"}'), 'incorrect username or password'],
    ['is not to be used', status(403), 'denied: requested access'],
    ['is in trouble', status(503), 'received unexpected HTTP status: 503 Service Unavailable'],
    ['says nothing', nothing, 'the registry stalls'],
    ['gives no token', status(200, {}, '{}'), 'its answer holds no token'],
    ['gives what is no token', status(200, {}, '{"token":"a\\r\\nX-Evil: 1"}'), 'its answer holds no token'],
    ['gives an object', status(200, {}, '{"token":{}}'), 'its answer holds no token'],
    ['answers with a page', status(200, {}, '<html>'), 'its answer holds no token'],
    ['sends in a circle', redirected(() => '/token'), 'redirected without end'],
  ])('is shown to a token server, which %s', async (_, answer, says) => {
    registry.misbehave = (request, response) => {
      if (request.headers.authorization?.startsWith('Bearer ')) return false;
      wants(token())(response, request, 0);
      return true;
    };
    watch(other, 'token', answer);
    const outcome = await pull({ ...login, ...(answer === nothing && SHORT) }).then(() => undefined, String);
    if (says === undefined) return expect(outcome).toBeUndefined();
    expect(outcome).toContain(says);
    if (!says.includes('stalls')) expect(outcome).toContain(`${other.host}/token`);
    expect(seen.length).toBeLessThan(10);
    expect(new Set(seen)).toEqual(new Set(['token Basic']));
    expect(await content.list()).toEqual([]);
  }); // prettier-ignore

  test('that is a token is sent nowhere but to the token server: its form follows no redirection', async () => {
    misbehave('/v2/', wants(token()));
    watch(
      other,
      'token',
      redirected(() => `http://${registry.host}/steal`),
    );
    const outcome = pull({ credentials: async () => ({ identityToken: 'long-lived' }) });
    await expect(outcome).rejects.toThrow(
      `token server http://${other.host}/token: received unexpected HTTP status: 307`,
    );
    expect(asked('steal')).toBe(0);
  });

  test('is not shown to a token server without TLS by a registry that has it', async () => {
    const sent: string[] = [];
    const http: Http = {
      send: async ({ url }) => Promise.reject(new Error(String(sent.push(url.href)))),
      follow: async ({ url }) => Promise.reject(new Error(String(sent.push(url.href)))),
      close: () => undefined,
    };
    const auth = authorizer(http, { credentials: async () => ({ username: 'me' }), needsTls: true });
    await expect(auth.meet('Bearer realm="http://auth.example/token"', 'x')).rejects.toThrow(
      'a token server without TLS, http://auth.example/token: refused',
    );
    expect(sent).toEqual([]);
  });
});

describe('whoever gives up', () => {
  test.each<[string, () => void]>([
    ['before it answers', () => misbehave('/v2/', nothing)],
    ['before the manifest', () => misbehave(MANIFEST, nothing)],
    ['in the middle of a manifest', () => misbehave(MANIFEST, (response) => void response.writeHead(200).write('{'))],
    ['before the configuration', () => misbehave('/blobs/', nothing)],
    ['in the middle of a layer', () => misbehave(BLOB(), partOf(8000, 'stalls'))],
    ['in the pause before another try', () => misbehave(MANIFEST, status(503))],
    ['while a token server says nothing', () => {
      misbehave('/v2/', status(401, { 'WWW-Authenticate': `Bearer realm="http://${other.host}/token"` }));
      other.misbehave = () => true;
    }],
  ])('%s, hears at once why', async (_, when) => {
    when();
    const gone = new AbortController();
    const lastOf = ({ requests }: FakeRegistry): number => requests.length;
    const pulling = pull({ ...login, signal: gone.signal, stall: 3_600_000, pause: 3_600_000 });
    pulling.catch(() => undefined);
    // Until nothing happens any more: it waits.
    for (let [before, still] = [-1, 0]; still < 5; still++) {
      await sleep(40);
      const now = lastOf(registry) + lastOf(other);
      if (now !== before || now === 0) still = 0;
      before = now;
    }
    gone.abort(new Error('interrupted'));
    await expect(pulling).rejects.toThrow('interrupted');
    // A moment later, too: whoever gives up does not wait until what was begun for him is put in order.
    await vi.waitFor(storeIsSound, { timeout: 20_000 });
  }); // prettier-ignore
});

describe('a mirror', () => {
  const fromHub = () =>
    pullImage(content, parseReference('app'), {
      mirrors: [`http://${other.host}`, `http://${registry.host}`],
      pause: 1,
      ...SHORT,
      platform: { os: 'linux', architecture: 'amd64' },
    });
  beforeEach(() => {
    registry.manifests.set('latest', registry.manifests.get('1')!);
    other.manifests = registry.manifests;
    for (const [digest, bytes] of registry.blobs) other.blobs.set(digest, bytes);
  });

  test.each<[string, () => void]>([
    ['does not have the image', () => other.manifests.clear()],
    ['does not have a layer', () => other.blobs.delete(BLOB())],
    ['lies about a layer', () => other.blobs.set(BLOB(), Buffer.alloc(layer.length))],
    ['answers 500', () => void (other.misbehave = (_, response) => !!response.writeHead(500).end())],
    ['wants a login', () => void (other.misbehave = (_, response) => !!response.writeHead(401).end())],
    ['stalls', () => void (other.misbehave = () => true)],
  ])('that %s is no reason to fail: the next address is asked', async (_, when) => {
    other.manifests = new Map(registry.manifests);
    when();
    await fromHub();
    expect((await content.readAll(BLOB())).equals(layer)).toBe(true);
    expect(await content.statuses()).toEqual([]);
  });
});
