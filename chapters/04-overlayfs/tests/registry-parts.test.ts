import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { eraseCredentials, endpoints, parseChallenges, readCredentials, storeCredentials } from '../index.ts';
import { retry } from '../retry.ts';
import { scratch } from './scratch.ts';

const path = process.env['PATH'];
afterEach(() => void (process.env['PATH'] = path));

describe('what a registry wants', () => {
  test('is read from WWW-Authenticate, one challenge or several', () => {
    expect(parseChallenges('Basic realm="a, b"')).toEqual([
      { scheme: 'basic', parameters: { realm: 'a, b' } },
    ]);
    expect(
      parseChallenges(
        'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
      ),
    ).toEqual([
      {
        scheme: 'bearer',
        parameters: {
          realm: 'https://auth.docker.io/token',
          service: 'registry.docker.io',
          scope: 'repository:a/b:pull,push',
        },
      },
    ]);
    expect(parseChallenges('Negotiate, Basic realm=x , bearer Realm="q\\"q",error=invalid_token')).toEqual([
      { scheme: 'negotiate', parameters: {} },
      { scheme: 'basic', parameters: { realm: 'x' } },
      { scheme: 'bearer', parameters: { realm: 'q"q', error: 'invalid_token' } },
    ]);
    expect(parseChallenges('')).toEqual([]);
    expect(parseChallenges('"')).toEqual([]);
  });
});

describe('where a registry is', () => {
  const at = (...args: Parameters<typeof endpoints>): string[] =>
    endpoints(...args).map(({ base, anyCertificate }) => `${base.href}${anyCertificate ? ' any' : ''}`);

  test('Docker Hub is not where its name says; mirrors are for it alone', () => {
    const mirrors = ['https://mirror.example'];
    expect(at('docker.io', { mirrors })).toEqual([
      'https://mirror.example/',
      'https://registry-1.docker.io/',
    ]);
    expect(at('quay.io', { mirrors })).toEqual(['https://quay.io/']);
  });

  test('plain HTTP is for loopback and for what the settings name', () => {
    expect(at('localhost:5000')).toEqual(['https://localhost:5000/ any', 'http://localhost:5000/ any']);
    expect(at('127.9.9.9')).toEqual(['https://127.9.9.9/ any', 'http://127.9.9.9/ any']);
    expect(at('10.1.2.3:5000')).toEqual(['https://10.1.2.3:5000/']);
    expect(at('10.1.2.3:5000', { insecure: ['10.0.0.0/8'] })).toHaveLength(2);
    expect(at('in.example:5000', { insecure: ['in.example:5000'] })).toHaveLength(2);
    expect(at('in.example:5001', { insecure: ['in.example:5000'] })).toHaveLength(1);
  });

  test('a mirror that is no address is refused', () => {
    expect(() => endpoints('docker.io', { mirrors: ['ftp://x'] })).toThrow(
      'registry address "ftp://x": give https://HOST[:PORT]',
    );
  });
});

describe('credentials', () => {
  test('are kept as the docker client keeps them, and nothing else in the file is lost', async () => {
    const file = join(scratch(), 'config.json');
    writeFileSync(file, '{"detachKeys":"ctrl-q","auths":{"a.example":{"auth":"YTpi"}}}');
    expect(await storeCredentials(file, 'docker.io', { username: 'me', password: 'p:w' })).toBe(file);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({
      detachKeys: 'ctrl-q',
      auths: {
        'a.example': { auth: 'YTpi' },
        'https://index.docker.io/v1/': { auth: Buffer.from('me:p:w').toString('base64') },
      },
    });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(await readCredentials(file, 'docker.io')).toEqual({ username: 'me', password: 'p:w' });
    expect(await readCredentials(file, 'a.example')).toEqual({ username: 'a', password: 'b' });
    expect(await readCredentials(file, 'b.example')).toBeUndefined();
    expect([await eraseCredentials(file, 'docker.io'), await eraseCredentials(file, 'docker.io')]).toEqual([
      true,
      false,
    ]);
    expect(await readCredentials(file, 'docker.io')).toBeUndefined();
    await storeCredentials(file, 't.example', { username: 'me', identityToken: 'tok' });
    expect(await readCredentials(file, 't.example')).toEqual({ identityToken: 'tok' });
  });

  test('a damaged file is named, and stays', async () => {
    const file = join(scratch(), 'config.json');
    for (const text of ['{', '[]', '3']) {
      writeFileSync(file, text);
      await expect(readCredentials(file, 'x')).rejects.toThrow(file);
      await expect(storeCredentials(file, 'x', { username: 'u' })).rejects.toThrow(file);
      expect(readFileSync(file, 'utf8')).toBe(text);
    }
  });

  test('a credential helper is asked where the file names one', async () => {
    const dir = scratch();
    const helper = join(dir, 'docker-credential-test');
    // Keeps one entry in a file, as the real ones keep theirs in a keyring.
    writeFileSync(
      helper,
      `#!/bin/sh
case $1 in
store) cat > ${dir}/kept ;;
erase) rm ${dir}/kept ;;
get) cat > ${dir}/asked; [ -f ${dir}/kept ] && cat ${dir}/kept && exit; echo "credentials not found in native keychain"; exit 1 ;;
esac
`,
    );
    chmodSync(helper, 0o755);
    process.env['PATH'] = `${dir}:${path}`;
    const file = join(dir, 'config.json');
    writeFileSync(file, '{"credHelpers":{"r.example:5000":"test"}}');
    expect(await readCredentials(file, 'r.example:5000')).toBeUndefined();
    expect(await storeCredentials(file, 'r.example:5000', { username: 'u', password: 'secret' })).toBe(
      'test',
    );
    expect(readFileSync(join(dir, 'kept'), 'utf8')).toBe(
      '{"ServerURL":"r.example:5000","Username":"u","Secret":"secret"}',
    );
    expect(readFileSync(file, 'utf8')).not.toContain('secret');
    expect(await readCredentials(file, 'r.example:5000')).toEqual({ username: 'u', password: 'secret' });
    expect(readFileSync(join(dir, 'asked'), 'utf8')).toBe('r.example:5000');
    expect(await eraseCredentials(file, 'r.example:5000')).toBe(true);
    writeFileSync(file, '{"credsStore":"nosuch"}');
    await expect(readCredentials(file, 'x')).rejects.toThrow('docker-credential-nosuch');
    writeFileSync(file, '{"credsStore":"../../x"}');
    await expect(readCredentials(file, 'x')).rejects.toThrow('no name of a credential helper');
  });
});

describe('trying again', () => {
  test('leaves pauses that double, each a little by chance, and as long as was asked for', async () => {
    const pausesFor = async (isPassing: () => boolean | number): Promise<number[]> => {
      const pauses: number[] = [];
      const options = { tries: 5, pause: 4, isPassing, onRetry: (pause: number) => void pauses.push(pause) };
      await expect(retry(async () => Promise.reject(new Error('busy')), options)).rejects.toThrow('busy');
      return pauses;
    };
    const pauses = await pausesFor(() => true);
    expect(pauses).toHaveLength(4);
    for (const [i, pause] of pauses.entries()) {
      expect(pause).toBeGreaterThanOrEqual(4 * 2 ** i * 0.75);
      expect(pause).toBeLessThanOrEqual(4 * 2 ** i * 1.25);
    }
    for (const pause of await pausesFor(() => 50)) expect(pause).toBeGreaterThanOrEqual(50);
    expect(await pausesFor(() => 3_600_000)).toEqual([]);
  });

  test('ends with the last error; progress begins the count anew; what is not passing ends it at once', async () => {
    let tried = 0;
    const options = {
      tries: 3,
      pause: 1,
      isPassing: (error: unknown) => (error as Error).message !== 'final',
    };
    const failing = retry(async () => Promise.reject(new Error(`try ${++tried}`)), options);
    await expect(failing).rejects.toThrow('try 3');
    tried = 0;
    const slow = retry(async (progressed) => {
      if (++tried < 7) {
        if (tried % 2) progressed();
        throw new Error('broke off');
      }
      return 'whole';
    }, options);
    expect(await slow).toBe('whole');
    tried = 0;
    await expect(
      retry(async () => Promise.reject(new Error(++tried ? 'final' : '')), options),
    ).rejects.toThrow('final');
    expect(tried).toBe(1);
  });
});
