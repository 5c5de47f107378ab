import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { openContentStore, parseReference, pullImage } from '../index.ts';
import { proxyFor } from '../proxy.ts';
import { fakeProxy, type FakeProxy } from './fake-proxy.ts';
import { fakeRegistry, type FakeRegistry } from './fake-registry.ts';
import { scratch } from './scratch.ts';

describe('the proxy for an address', () => {
  const through = (url: string, environment: NodeJS.ProcessEnv): string | undefined =>
    proxyFor(new URL(url), environment)?.href;
  const both = { HTTP_PROXY: 'http://plain:1', HTTPS_PROXY: 'http://tls:2' };

  test('is the one of its kind; names in lower case count first; without a scheme it is http', () => {
    expect(through('http://a.io/x', both)).toBe('http://plain:1/');
    expect(through('https://a.io/x', both)).toBe('http://tls:2/');
    expect(through('https://a.io/x', { ...both, https_proxy: 'lower:3' })).toBe('http://lower:3/');
    expect(through('https://a.io/x', { HTTP_PROXY: 'http://plain:1' })).toBe(undefined);
    expect(through('https://a.io/x', {})).toBe(undefined);
  });

  test.each(['http://localhost:5000/', 'https://127.0.0.1/', 'http://127.9.9.9:1/', 'http://[::1]:5000/'])(
    '%s is the machine itself: none',
    (url) => expect(through(url, both)).toBe(undefined),
  );

  test.each([
    ['*', ['http://a.io/'], []],
    ['a.io', ['http://a.io/', 'https://b.a.io/'], ['http://ba.io/', 'http://io/']],
    ['.a.io', ['http://b.a.io/'], ['http://ba.io/']],
    ['*.a.io', ['http://b.a.io/'], ['http://ba.io/']],
    ['x, a.io:5000 ,y', ['http://a.io:5000/', 'http://b.a.io:5000/'], ['http://a.io/']],
    ['a.io:443', ['https://a.io/'], ['http://a.io/']],
    ['10.0.0.0/8', ['http://10.1.2.3:5000/'], ['http://11.1.2.3/']],
    ['10.1.2.3', ['http://10.1.2.3/'], ['http://110.1.2.3/', 'http://x.10.1.2.3.io/']],
    ['A.IO', ['http://a.io/'], []],
  ])('NO_PROXY=%s', (NO_PROXY, direct, others) => {
    const goes = (url: string): boolean => through(url, { ...both, NO_PROXY }) !== undefined;
    expect([direct.filter(goes), others.filter((url) => !goes(url))]).toEqual([[], []]);
  });

  test('that is no address is refused by its name', () => {
    expect(() => through('http://a.io/', { HTTP_PROXY: 'socks5://x:1' })).toThrow(
      'proxy "socks5://x:1": give http://HOST:PORT',
    );
  });
});

describe('a pull through a proxy', () => {
  let registry: FakeRegistry;
  let proxy: FakeProxy | undefined;
  beforeEach(async () => {
    registry = await fakeRegistry();
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await proxy?.stop();
    proxy = undefined;
    await registry.stop();
  });
  const pull = async (name: string) =>
    pullImage(await openContentStore(scratch()), parseReference(name), {
      tries: 1,
      insecure: ['registry.test'],
      platform: { os: 'linux', architecture: 'amd64' },
    });

  test('asks it for names that only it knows, with its password', async () => {
    proxy = await fakeProxy(registry.host, false);
    vi.stubEnv('HTTP_PROXY', `http://me:p%40ss@${proxy.address}`);
    vi.stubEnv('HTTPS_PROXY', `http://me:p%40ss@${proxy.address}`);
    const digest = registry.addImage('1', [Buffer.from('layer')]);
    expect((await pull('registry.test:5000/app:1')).target.digest).toBe(digest);
    // TLS first, in a tunnel; that was not to be had.
    expect(proxy.asked[0]).toBe('CONNECT registry.test:5000 by me:p@ss');
    expect(proxy.asked).toContain('GET http://registry.test:5000/v2/app/manifests/1 by me:p@ss');
  });

  test('that is not there fails by the proxy’s name', async () => {
    const nobody = '127.0.0.1:1'; // a port that nobody is given by chance
    vi.stubEnv('HTTPS_PROXY', nobody);
    vi.stubEnv('HTTP_PROXY', nobody);
    await expect(pull('registry.test:5000/app:1')).rejects.toThrow('ECONNREFUSED');
    await expect(pull('other.test:5000/app:1')).rejects.toThrow(`proxy ${nobody}`);
  });

  test('is not asked for the machine itself', async () => {
    proxy = await fakeProxy('127.0.0.1:1');
    vi.stubEnv('HTTP_PROXY', proxy.address);
    vi.stubEnv('HTTPS_PROXY', proxy.address);
    registry.addImage('1', [Buffer.from('layer')]);
    await pull(`${registry.host}/app:1`);
    expect(proxy.asked).toEqual([]);
  });
});
