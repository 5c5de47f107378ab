import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import {
  digestOf,
  login,
  MEDIA_TYPE,
  openContentStore,
  parseReference,
  pullImage,
  pushImage,
  resolveImage,
  writeBlob,
  type ContentStore,
  type Descriptor,
  type Index,
  type Progress,
  type RegistryOptions,
} from '../index.ts';
import { startRegistry, type LocalRegistry } from '../demo-registry.ts';
import { serveRegistry } from '../registry-server.ts';
import { fakeProxy } from './fake-proxy.ts';
import { makeCertificates, startTokenServer } from './registry-harness.ts';
import { loadBaseImage } from './base.ts';

/** docker-registry and skopeo, which nobody here wrote. */
let dir: string;
let content: ContentStore;
let target: Descriptor;
const ends: (() => Promise<void> | void)[] = [];
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'o4-registry-'));
  content = await openContentStore(join(dir, 'content'));
  target = await loadBaseImage(content, dir);
});
afterAll(async () => {
  for (const end of ends.reverse()) await end();
  rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
});
const folder = (): string => mkdtempSync(join(dir, 'x-'));
const emptyStore = (): Promise<ContentStore> => openContentStore(folder());
const registry = async (...args: Parameters<typeof startRegistry>): Promise<LocalRegistry> => {
  const started = await startRegistry(...args);
  ends.push(started.stop);
  return started;
};
const skopeo = (...args: string[]): string =>
  execFileSync('skopeo', args, { encoding: 'utf8', stdio: 'pipe', timeout: 60_000 });

/** Pushes the base image and pulls it into an empty store; the same must come back. */
async function roundTrip(name: string, options: RegistryOptions): Promise<void> {
  const reference = parseReference(name);
  const pushed = await pushImage(content, target, reference, options);
  expect(pushed.digest).toBe(target.digest);
  const store = await emptyStore();
  const { target: pulled } = await pullImage(store, reference, options);
  expect(pulled).toEqual({ mediaType: target.mediaType, digest: target.digest, size: target.size });
  const { manifest } = await resolveImage(store, pulled);
  for (const layer of manifest.layers) expect(digestOf(await store.readAll(layer.digest))).toBe(layer.digest);
}

test('skopeo pushes to the small registry of this chapter, and pulls from it', async () => {
  const { host, stop } = await serveRegistry(folder());
  ends.push(stop);
  const out = folder();
  await pushImage(content, target, parseReference(`${host}/ours:1`));
  // The registry is in this process: it must not wait for skopeo, which waits for it.
  const copy = (...args: string[]) =>
    promisify(execFile)('skopeo', ['copy', '--preserve-digests', ...args], { timeout: 60_000 });
  await copy('--src-tls-verify=false', `docker://${host}/ours:1`, `oci:${out}:x`);
  await copy('--dest-tls-verify=false', `oci:${out}:x`, `docker://${host}/b/c:2`);
  const pulled = await pullImage(await emptyStore(), parseReference(`${host}/b/c:2`));
  expect(pulled.target.digest).toBe(target.digest);
});

test('a redirection from TLS to a place without is refused', async () => {
  const { certificate, key } = makeCertificates(folder());
  const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) });
  server.on('request', ({ url }: IncomingMessage, response: ServerResponse) => {
    const plain = `http://${host}/elsewhere`;
    if (url === '/v2/') return response.end('{}');
    return response.writeHead(307, { Location: plain }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const reference = parseReference(`${host}/app:1`);
  await expect(pullImage(await emptyStore(), reference)).rejects.toThrow(
    `redirected out of TLS, to http://${host}/elsewhere`,
  );
});

describe('a real registry', () => {
  test('takes an image by tag and digest, and gives it back; a second push sends nothing', async () => {
    const { host } = await registry(folder());
    await roundTrip(`${host}/a/b:1`, {});
    const { target: byDigest } = await pullImage(
      await emptyStore(),
      parseReference(`${host}/a/b@${target.digest}`),
    );
    expect(byDigest.digest).toBe(target.digest);
    const lines: Progress[] = [];
    await pushImage(content, target, parseReference(`${host}/a/b:2`), { report: (line) => lines.push(line) });
    expect(lines.map(({ status }) => status)).toContain('Layer already exists');
    expect(lines.map(({ status }) => status)).not.toContain('Pushed');
    await expect(pullImage(await emptyStore(), parseReference(`${host}/a/b:none`))).rejects.toMatchObject({
      status: 404,
      code: 'MANIFEST_UNKNOWN',
    });
  });

  test('mounts a layer from another of its repositories instead of being sent it', async () => {
    const { host } = await registry(folder());
    await pushImage(content, target, parseReference(`${host}/first:1`));
    const lines: Progress[] = [];
    await pushImage(content, target, parseReference(`${host}/second:1`), {
      report: (line) => lines.push(line),
    });
    expect(lines.map(({ status }) => status)).toContain('Mounted from first');
    expect((await pullImage(await emptyStore(), parseReference(`${host}/second:1`))).target.digest).toBe(
      target.digest,
    );
  });

  test('takes a layer that is sent in several pieces, and gives it back whole', async () => {
    const { host } = await registry(folder());
    const layer = randomBytes(70 << 20);
    const config = Buffer.from(
      JSON.stringify({
        os: 'linux',
        architecture: 'amd64',
        rootfs: { type: 'layers', diff_ids: [digestOf(layer)] },
      }),
    );
    const blobs = [];
    for (const bytes of [config, layer]) blobs.push(await writeBlob(content, bytes));
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MEDIA_TYPE.manifest,
        config: { mediaType: MEDIA_TYPE.config, digest: blobs[0]!.digest, size: config.length },
        layers: [{ mediaType: MEDIA_TYPE.layer, digest: blobs[1]!.digest, size: layer.length }],
      }),
    );
    const { digest, size } = await writeBlob(content, manifest);
    const reference = parseReference(`${host}/large:1`);
    await pushImage(content, { mediaType: MEDIA_TYPE.manifest, digest, size }, reference);
    const store = await emptyStore();
    await pullImage(store, reference);
    expect((await store.info(digestOf(layer))).size).toBe(layer.length);
  });

  test('an index goes there whole, and each platform comes back', async () => {
    const { host } = await registry(folder());
    const { manifest, config } = await resolveImage(content, target);
    const manifests: Descriptor[] = [];
    for (const architecture of ['amd64', 's390x']) {
      const bytes = Buffer.from(JSON.stringify({ ...config, architecture }));
      const { digest, size } = await writeBlob(content, bytes);
      const text = Buffer.from(JSON.stringify({ ...manifest, config: { ...manifest.config, digest, size } }));
      const blob = await writeBlob(content, text);
      manifests.push({
        mediaType: MEDIA_TYPE.manifest,
        digest: blob.digest,
        size: blob.size,
        platform: { os: 'linux', architecture },
      });
    }
    const index: Index = { schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests };
    const { digest, size } = await writeBlob(content, Buffer.from(JSON.stringify(index)));
    const reference = parseReference(`${host}/multi:1`);
    const pushed = await pushImage(content, { mediaType: MEDIA_TYPE.index, digest, size }, reference);
    expect(pushed.digest).toBe(digest);
    for (const { platform, digest } of manifests) {
      const store = await emptyStore();
      const { target } = await pullImage(store, reference, { platform: platform! });
      expect((await resolveImage(store, target, platform)).descriptor.digest).toBe(digest);
    }
    expect(skopeo('inspect', '--raw', '--tls-verify=false', `docker://${host}/multi:1`)).toBe(
      JSON.stringify(index),
    );
  });

  test('skopeo pulls what we pushed, and we pull what skopeo pushed', async () => {
    const { host } = await registry(folder());
    await pushImage(content, target, parseReference(`${host}/ours:1`));
    const out = folder();
    skopeo('copy', '--preserve-digests', '--src-tls-verify=false', `docker://${host}/ours:1`, `oci:${out}:x`);
    expect(readdirSync(join(out, 'blobs', 'sha256'))).toContain(target.digest.slice(7));
    skopeo(
      'copy',
      '--dest-tls-verify=false',
      '--format',
      'v2s2',
      `oci:${out}:x`,
      `docker://${host}/theirs:1`,
    );
    const store = await emptyStore();
    const pulled = await pullImage(store, parseReference(`${host}/theirs:1`));
    expect(pulled.target.mediaType).toBe(MEDIA_TYPE.dockerManifest);
    const { config } = await resolveImage(store, pulled.target);
    expect(config.rootfs).toEqual((await resolveImage(content, target)).config.rootfs);
  });

  test('with TLS is trusted by its own authority, and not without', async () => {
    const place = folder();
    const tls = makeCertificates(place);
    const { host } = await registry(folder(), { tls });
    const certsDir = join(place, 'certs.d');
    mkdirSync(join(certsDir, host), { recursive: true });
    copyFileSync(tls.authority, join(certsDir, host, 'ca.crt'));
    await roundTrip(`${host}/secure:1`, { certsDir });
  });

  test('with TLS is spoken to through a proxy’s tunnel, and the proxy does not see what is said', async () => {
    const place = folder();
    const { host } = await registry(folder(), { tls: makeCertificates(place) });
    const proxy = await fakeProxy(host);
    ends.push(proxy.stop, () => void vi.unstubAllEnvs());
    vi.stubEnv('HTTPS_PROXY', proxy.address);
    await roundTrip('registry.test/secure:1', { insecure: ['registry.test'] });
    expect(new Set(proxy.asked)).toEqual(new Set(['CONNECT registry.test:443']));
    // A certificate of nobody's is refused; that of a registry that is listed as insecure is not looked at.
    await expect(roundTrip('registry.test/secure:1', { tries: 1 })).rejects.toThrow(/certificate|altnames/);
    vi.unstubAllEnvs();
  });

  test('that wants name and password gets them, and refuses others', async () => {
    const { host } = await registry(folder(), { basic: { username: 'me', password: 'secret' } });
    const as = (username: string, password: string): RegistryOptions => ({
      credentials: async () => ({ username, password }),
    });
    await login(host, as('me', 'secret'));
    await expect(login(host, as('me', 'wrong'))).rejects.toMatchObject({ status: 401 });
    await roundTrip(`${host}/a:1`, as('me', 'secret'));
    await expect(pullImage(await emptyStore(), parseReference(`${host}/a:1`))).rejects.toThrow(
      'no basic auth credentials',
    );
    await expect(
      pullImage(await emptyStore(), parseReference(`${host}/a:1`), as('me', 'wrong')),
    ).rejects.toMatchObject({ status: 401 });
  });

  test('that trusts a token server is shown a token for this repository alone', async () => {
    const tls = makeCertificates(folder());
    const user = { username: 'me', password: 'secret', refreshToken: 'long-lived' };
    const tokens = await startTokenServer(tls, user);
    ends.push(() => void tokens.server.close());
    const { host } = await registry(folder(), {
      token: { realm: tokens.realm, certificate: tls.certificate },
    });
    const as = (credentials: object): RegistryOptions => ({ credentials: async () => credentials });
    await login(host, as(user));
    await expect(login(host, as({ username: 'me', password: 'wrong' }))).rejects.toThrow(
      'incorrect username or password',
    );
    await roundTrip(`${host}/mine:1`, as({ username: 'me', password: 'secret' }));
    expect(tokens.asked).toContain('GET repository:mine:pull,push');
    // A token that stands for name and password is exchanged; and who is nobody may still read here.
    await roundTrip(`${host}/other:1`, as({ identityToken: 'long-lived' }));
    expect(tokens.asked).toContain('POST repository:other:pull,push');
    await pullImage(await emptyStore(), parseReference(`${host}/mine:1`));
    await expect(pushImage(content, target, parseReference(`${host}/mine:2`))).rejects.toMatchObject({
      status: 401,
    });
  });
});
