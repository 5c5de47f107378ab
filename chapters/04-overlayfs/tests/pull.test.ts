import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  digestOf,
  MEDIA_TYPE,
  openContentStore,
  openDownloads,
  parseReference,
  pullImage,
  type ContentStore,
  type Downloads,
  type Index,
  type Progress,
  type PullOptions,
} from '../index.ts';
import { fakeRegistry, type FakeRegistry } from './fake-registry.ts';
import { scratch } from './scratch.ts';

let registry: FakeRegistry;
let content: ContentStore;
let dir: string;
beforeEach(async () => {
  registry = await fakeRegistry();
  dir = scratch();
  content = await openContentStore(dir);
});
afterEach(() => registry.stop());

const pull = (name = 'app:1', options: PullOptions = {}) =>
  pullImage(content, parseReference(`${registry.host}/${name}`), {
    pause: 1,
    platform: { os: 'linux', architecture: 'amd64' },
    ...options,
  });
const asked = (pattern: RegExp): string[] => registry.requests.filter((request) => pattern.test(request));
const isBlob = (url = ''): boolean => url.includes('/blobs/');
const layer = (size = 3_000_000): Buffer => randomBytes(size);

describe('a pull', () => {
  test('brings manifest, configuration and layers, each under its digest', async () => {
    const layers = [layer(), layer(10), layer(0)];
    const digest = registry.addImage('1', layers);
    const { target, manifest, fetched } = await pull();
    expect(target).toMatchObject({ digest, mediaType: MEDIA_TYPE.manifest });
    for (const [i, bytes] of layers.entries())
      expect((await content.readAll(manifest.layers[i]!.digest)).equals(bytes)).toBe(true);
    expect(fetched).toBe(3_000_010 + manifest.config.size);
    const { labels } = await content.info(digest);
    expect(labels).toMatchObject({ 'containerd.io/gc.ref.content.l.0': manifest.layers[0]!.digest });
  });

  test('fetches nothing that is there, and says so', async () => {
    const shared = layer(1000);
    registry.addImage('1', [shared]);
    registry.addImage('2', [shared, layer(1000)]);
    await pull('app:1');
    const lines: Progress[] = [];
    await pull('app:2', { report: (line) => lines.push(line) });
    expect(asked(new RegExp(`^GET .*${digestOf(shared)}`))).toHaveLength(1);
    const id = digestOf(shared).slice(7, 19);
    expect(lines.filter((line) => line.id === id).map(({ status }) => status)).toEqual([
      'Pulling fs layer',
      'Already exists',
    ]);
  });

  test('of an index takes the image for the platform, and of variants the best', async () => {
    const platforms = [
      { os: 'linux', architecture: 'amd64' },
      { os: 'linux', architecture: 'arm', variant: 'v6' },
      { os: 'linux', architecture: 'arm', variant: 'v7' },
    ];
    const manifests = platforms.map((platform) => {
      const digest = registry.addImage('part', [layer(100)], platform);
      return {
        mediaType: MEDIA_TYPE.manifest,
        digest,
        size: registry.manifests.get(digest)!.bytes.length,
        platform,
      };
    });
    const index: Index = { schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests };
    registry.manifests.set('all', { type: MEDIA_TYPE.index, bytes: Buffer.from(JSON.stringify(index)) });
    for (const [i, platform] of platforms.entries()) {
      const { manifest, target } = await pull('app:all', { platform });
      expect(digestOf(await content.readAll(target.digest))).toBe(target.digest);
      expect(asked(new RegExp(manifests[i]!.digest)).length, JSON.stringify(platform)).toBeGreaterThan(0);
      expect(manifest.layers).toHaveLength(1);
    }
    await expect(pull('app:all', { platform: { os: 'linux', architecture: 's390x' } })).rejects.toThrow(
      'no matching manifest for linux/s390x',
    );
  });

  test('takes up a download that broke where it broke', async () => {
    const bytes = layer();
    registry.addImage('1', [bytes]);
    let broken = 0;
    registry.misbehave = (request, response) => {
      if (!request.url!.includes(digestOf(bytes)) || broken === 3) return false;
      const from = Number(/\d+/.exec(request.headers.range ?? '0')![0]);
      broken++;
      response.writeHead(from ? 206 : 200, {
        'Content-Length': bytes.length - from,
        ...(from && { 'Content-Range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` }),
      });
      response.write(bytes.subarray(from, from + 700_000), () => setTimeout(() => response.destroy(), 20));
      return true;
    };
    const { manifest } = await pull();
    expect((await content.readAll(manifest.layers[0]!.digest)).equals(bytes)).toBe(true);
    const ranges = asked(new RegExp(digestOf(bytes))).map((request) =>
      Number(/bytes=(\d+)/.exec(request)?.[1] ?? 0),
    );
    expect(ranges).toHaveLength(4);
    for (const [i, from] of ranges.entries()) if (i > 0) expect(from).toBeGreaterThan(ranges[i - 1]!);
  });

  test('goes on with what an earlier process left, also where the server knows no ranges', async () => {
    for (const knowsRanges of [true, false]) {
      const bytes = layer();
      registry.addImage('1', [bytes]);
      const left = await content.writer(`blob-${digestOf(bytes)}`, {
        expected: digestOf(bytes),
        total: bytes.length,
      });
      await left.write(bytes.subarray(0, 1_000_000));
      await left.close();
      registry.misbehave = (request, response) => {
        if (knowsRanges || !request.url!.includes(digestOf(bytes))) return false;
        response.end(bytes);
        return true;
      };
      await pull();
      expect((await content.readAll(digestOf(bytes))).equals(bytes)).toBe(true);
      expect(asked(new RegExp(digestOf(bytes)))).toEqual([expect.stringContaining('bytes=1000000-')]);
      expect(await content.statuses()).toEqual([]);
      await content.delete(digestOf(bytes));
      registry.requests.length = 0;
    }
  });

  test('fetches three layers at once, and not a fourth, and says of each how far it is', async () => {
    const layers = [1, 2, 3, 4, 5].map((i) => layer(100_000 * i));
    registry.addImage('1', layers);
    const names = layers.map(digestOf);
    let waiting: (() => void)[] = [];
    const together: number[] = [];
    registry.misbehave = ({ url }, response) => {
      const at = names.findIndex((name) => url!.includes(name));
      if (at === -1) return false;
      response
        .writeHead(200, { 'Content-Length': layers[at]!.length })
        .write(layers[at]!.subarray(0, 50_000));
      waiting.push(() => response.end(layers[at]!.subarray(50_000)));
      return true;
    };
    const lines: Progress[] = [];
    const pulling = pull('app:1', { stall: 30_000, report: (line) => lines.push(line) });
    pulling.catch(() => undefined);
    for (const expected of [3, 2]) {
      await expect.poll(() => waiting.length, { timeout: 20_000 }).toBe(expected);
      await sleep(200); // a fourth would have come by now
      together.push(waiting.length);
      const begun = waiting;
      waiting = [];
      for (const end of begun) end();
    }
    await pulling;
    expect(together).toEqual([3, 2]);
    for (const [i, name] of names.entries()) {
      const own = lines.filter(({ id }) => id === name.slice(7, 19));
      expect([...new Set(own.map(({ status }) => status))]).toEqual([
        'Pulling fs layer',
        ...(i >= 3 ? ['Waiting'] : []),
        'Downloading',
        'Verifying Checksum',
        'Download complete',
      ]);
      expect(own.filter(({ status }) => status === 'Downloading').at(-1)).toMatchObject({
        current: layers[i]!.length,
        total: layers[i]!.length,
      });
    }
  });

  test('two at once fetch each blob once', async () => {
    const bytes = [layer(), layer()];
    registry.addImage('1', bytes);
    const downloads = openDownloads();
    await Promise.all([
      pull('app:1', { downloads }),
      pull('other:1', { downloads }),
      pull('app:1', { downloads }),
    ]);
    for (const blob of bytes) expect(asked(new RegExp(digestOf(blob)))).toHaveLength(1);
  });

  test('that is given up leaves the other one its download', async () => {
    const bytes = layer();
    registry.addImage('1', [bytes]);
    let release = (): void => undefined;
    registry.misbehave = (request, response) => {
      if (!request.url!.includes(digestOf(bytes))) return false;
      response.writeHead(200, { 'Content-Length': bytes.length });
      response.write(bytes.subarray(0, 1000));
      release = () => response.end(bytes.subarray(1000));
      return true;
    };
    const shared = openDownloads();
    /** How many wait for the layer. */
    let waiting = 0;
    const downloads: Downloads = {
      share: async (key, ...rest) => {
        const done = shared.share(key, ...rest);
        if (key === digestOf(bytes)) waiting++;
        return done;
      },
    };
    const gone = new AbortController();
    const first = pull('app:1', { downloads, signal: gone.signal, stall: 30_000 });
    const second = pull('app:1', { downloads, stall: 30_000 });
    first.catch(() => undefined);
    await expect.poll(() => asked(new RegExp(digestOf(bytes))).length, { timeout: 20_000 }).toBe(1);
    await expect.poll(() => waiting, { timeout: 20_000 }).toBe(2);
    gone.abort(new Error('the client went away'));
    await expect(first).rejects.toThrow('went away');
    release();
    await second;
    expect(asked(new RegExp(digestOf(bytes)))).toHaveLength(1);
  });

  test('is redirected to a storage, which is not shown the password', async () => {
    const storage = await fakeRegistry();
    try {
      registry.addImage('1', [layer(1000)]);
      storage.blobs = registry.blobs;
      const seen: (string | undefined)[] = [];
      storage.misbehave = (request, response) => {
        seen.push(request.headers.authorization);
        response.end(registry.blobs.get(/sha256:\w+/.exec(request.url!)![0]));
        return true;
      };
      registry.misbehave = (request, response) => {
        if (!request.headers.authorization) {
          response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="x"' }).end();
          return true;
        }
        if (!isBlob(request.url)) return false;
        response.writeHead(307, { Location: `http://${storage.host}/signed${request.url}?key=1` }).end();
        return true;
      };
      await pull('app:1', { credentials: async () => ({ username: 'u', password: 'p' }) });
      expect(seen).toEqual([undefined, undefined]);
    } finally {
      await storage.stop();
    }
  });

  test('of Docker Hub’s images asks a mirror first, and the next when that one has nothing to say', async () => {
    const digest = registry.addImage('latest', [layer(100)]);
    const mirrors = ['http://127.0.0.1:1', `http://${registry.host}`];
    const { target } = await pullImage(content, parseReference('busybox'), {
      mirrors,
      pause: 1,
      platform: { os: 'linux', architecture: 'amd64' },
    });
    expect(target.digest).toBe(digest);
    expect(asked(/manifests/)).toEqual(['GET /v2/library/busybox/manifests/latest']);
  });
});

describe('a registry on a bad day', () => {
  /** The first `times` requests for blobs get this answer. */
  const first = (times: number, status: number, headers: Record<string, string> = {}): void => {
    registry.misbehave = (request, response) => {
      if (!isBlob(request.url) || times-- <= 0) return false;
      response.writeHead(status, headers).end('busy');
      return true;
    };
  };

  test.each([429, 500, 502, 503])('is asked again after %i', async (status) => {
    registry.addImage('1', [layer(100)]);
    first(3, status);
    await pull();
  });

  test('is asked five times and no more; what had come stays for the next pull', async () => {
    const [good, bad] = [layer(100), layer(200)];
    registry.addImage('1', [good, bad]);
    registry.misbehave = (request, response) => {
      if (!request.url!.includes(digestOf(bad))) return false;
      response.writeHead(503).end();
      return true;
    };
    await expect(pull()).rejects.toThrow(
      `blob ${digestOf(bad)} of ${registry.host}/app: received unexpected HTTP status: 503 Service Unavailable`,
    );
    expect(asked(new RegExp(digestOf(bad)))).toHaveLength(5);
    expect((await content.readAll(digestOf(good))).equals(good)).toBe(true);
  });

  test.each([401, 403, 404])('that answers %i is not asked again', async (status) => {
    registry.addImage('1', [layer(100)]);
    first(99, status);
    await expect(pull()).rejects.toMatchObject({ name: 'RegistryError', status });
    expect(asked(/blobs/)).toHaveLength(1);
  });

  test('that stalls counts as gone', async () => {
    const bytes = layer(100_000);
    registry.addImage('1', [bytes]);
    let times = 2;
    registry.misbehave = (request, response) => {
      if (!request.url!.includes(digestOf(bytes)) || times-- === 0) return false;
      response.writeHead(200, { 'Content-Length': bytes.length }).write(bytes.subarray(0, 1000));
      return true;
    };
    await pull('app:1', { stall: 1000 });
    expect((await content.readAll(digestOf(bytes))).equals(bytes)).toBe(true);
  });

  test('that sends in circles, or out of TLS, is refused', async () => {
    registry.addImage('1', [layer(100)]);
    registry.misbehave = (request, response) => {
      if (!isBlob(request.url)) return false;
      response.writeHead(302, { Location: request.url }).end();
      return true;
    };
    await expect(pull()).rejects.toThrow('redirected without end');
  });

  test('that sends to what is no address is refused by what it said', async () => {
    registry.addImage('1', [layer(100)]);
    registry.misbehave = (request, response) => {
      if (!isBlob(request.url)) return false;
      response.writeHead(302, { Location: 'https://[/' }).end();
      return true;
    };
    await expect(pull()).rejects.toThrow('redirected to "https://[/", which is no address');
  });
});

describe('a registry that lies', () => {
  const nothingCameIn = async (): Promise<void> => {
    const infos = await content.list();
    for (const { digest } of infos) expect(digestOf(await content.readAll(digest))).toBe(digest);
    expect(readdirSync(join(dir, 'ingest'))).toEqual([]);
  };
  const sending = (change: (bytes: Buffer) => Buffer): Buffer => {
    const bytes = layer(100_000);
    registry.addImage('1', [bytes]);
    registry.blobs.set(digestOf(bytes), change(bytes));
    return bytes;
  };

  test('about a layer’s bytes', async () => {
    const bytes = sending((right) => Buffer.concat([right.subarray(1), Buffer.from('x')]));
    await expect(pull()).rejects.toThrow(
      `filesystem layer verification failed for digest ${digestOf(bytes)}`,
    );
    await nothingCameIn();
  });

  test('about a layer’s size: it stops at the first byte too many', async () => {
    sending((right) => Buffer.concat([right, Buffer.alloc(50_000_000)]));
    await expect(pull()).rejects.toThrow('is larger than the 100000 bytes announced');
    await nothingCameIn();
  });

  test('about a manifest’s digest', async () => {
    const digest = registry.addImage('1', [layer(100)]);
    const other = registry.addImage('2', [layer(100)]);
    registry.manifests.set(digest, registry.manifests.get(other)!);
    await expect(pull(`app@${digest}`)).rejects.toThrow(`its bytes have the digest ${other}`);
    expect(await content.list()).toEqual([]);
  });

  test.each([
    ['no JSON', 'x', MEDIA_TYPE.manifest, 'is not JSON'],
    ['no manifest', '{"schemaVersion":2}', MEDIA_TYPE.manifest, 'is no image manifest'],
    [
      'of schema 1',
      '{"schemaVersion":1}',
      'application/vnd.docker.distribution.manifest.v1+json',
      'schema 1',
    ],
    [
      'of another type than announced',
      `{"schemaVersion":2,"mediaType":"${MEDIA_TYPE.index}","manifests":[]}`,
      MEDIA_TYPE.manifest,
      'announced as',
    ],
    ['of an unknown type', '{"schemaVersion":2,"mediaType":"text/plain"}', 'text/plain', 'unknown type'],
    ['null', 'null', MEDIA_TYPE.manifest, 'unknown type'],
    [
      'a layer with a path for a digest',
      '{"schemaVersion":2,"config":{"digest":"sha256:../../x","size":1},"layers":[]}',
      MEDIA_TYPE.manifest,
      'is no image manifest',
    ],
    [
      'a layer of negative size',
      `{"schemaVersion":2,"config":{"digest":"${digestOf('')}","size":-1},"layers":[]}`,
      MEDIA_TYPE.manifest,
      'is no image manifest',
    ],
    ['endless', ' '.repeat(5 << 20), MEDIA_TYPE.manifest, 'more than 4194304 bytes'],
  ])('about the manifest: it is %s', async (_what, text, type, message) => {
    registry.manifests.set('1', { type, bytes: Buffer.from(text) });
    await expect(pull()).rejects.toThrow(message);
    expect(await content.list()).toEqual([]);
  });
});
