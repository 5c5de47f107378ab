import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createSign, randomUUID } from 'node:crypto';
import { connect, createServer as createTcpServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A real docker-registry on loopback, with its files in a folder of the test's. */
export interface TestRegistry {
  /** `127.0.0.1:PORT` */
  host: string;
  stop(): Promise<void>;
}

export interface RegistrySetup {
  /** A certificate and its key, in PEM files. */
  tls?: { certificate: string; key: string };
  /** Name and password of the one user there is. */
  basic?: { username: string; password: string };
  /** Tokens come from this server, which signs with this certificate's key. */
  token?: { realm: string; certificate: string };
  /** Blobs may be deleted, and mirrored from there. */
  proxy?: string;
}

/** Starts one, and waits until it accepts connections. */
export async function startRegistry(dir: string, setup: RegistrySetup = {}): Promise<TestRegistry> {
  const port = await freePort();
  const lines = [
    'version: 0.1',
    'log: { level: error }',
    `storage: { filesystem: { rootdirectory: ${join(dir, 'registry')} } }`,
    `http:`,
    `  addr: 127.0.0.1:${port}`,
  ];
  if (setup.tls) lines.push(`  tls: { certificate: ${setup.tls.certificate}, key: ${setup.tls.key} }`);
  if (setup.basic) {
    writeFileSync(join(dir, 'htpasswd'), `${setup.basic.username}:${bcrypt(setup.basic.password)}\n`);
    lines.push('auth:', `  htpasswd: { realm: test, path: ${join(dir, 'htpasswd')} }`);
  }
  if (setup.token)
    lines.push(
      'auth:',
      `  token: { realm: "${setup.token.realm}", service: test, issuer: test, rootcertbundle: ${setup.token.certificate} }`,
    );
  const file = join(dir, `registry-${port}.yml`);
  writeFileSync(file, `${lines.join('\n')}\n`);
  const child = spawn('docker-registry', ['serve', file], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
  for (let tries = 0; !(await accepts(port)); tries++) {
    if (child.exitCode !== null || tries > 200) throw new Error(`docker-registry does not start: ${log}`);
    await sleep(50);
  }
  return {
    host: `127.0.0.1:${port}`,
    stop: async () => {
      if (child.exitCode !== null) return;
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
  };
}

/** A password as htpasswd -B writes it: crypt(3) of the C library does the work. */
function bcrypt(password: string): string {
  const script = 'print crypt($ARGV[0], q($2y$05$abcdefghijklmnopqrstuu))';
  return execFileSync('perl', ['-e', script, password], { encoding: 'utf8' });
}

/** An authority of one's own, and a certificate of its for 127.0.0.1. Paths of PEM files. */
export function makeCertificates(dir: string): { authority: string; certificate: string; key: string } {
  const at = (name: string): string => join(dir, name);
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { stdio: 'pipe' });
  const fresh = ['-newkey', 'rsa:2048', '-nodes', '-days', '2'];
  openssl(
    'req',
    '-x509',
    ...fresh,
    '-subj',
    '/CN=test authority',
    '-keyout',
    at('ca.key'),
    '-out',
    at('ca.crt'),
  );
  openssl(
    'req',
    ...fresh.slice(0, 3),
    '-subj',
    '/CN=127.0.0.1',
    '-keyout',
    at('tls.key'),
    '-out',
    at('tls.csr'),
  );
  writeFileSync(at('names'), 'subjectAltName=IP:127.0.0.1,DNS:localhost');
  const signing = ['-CA', at('ca.crt'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '2'];
  openssl('x509', '-req', '-in', at('tls.csr'), ...signing, '-extfile', at('names'), '-out', at('tls.crt'));
  return { authority: at('ca.crt'), certificate: at('tls.crt'), key: at('tls.key') };
}

/** A token server: what Docker Hub's auth.docker.io is, in forty lines. */
export async function startTokenServer(
  { certificate, key }: { certificate: string; key: string },
  user: { username: string; password: string; refreshToken?: string },
): Promise<{ realm: string; asked: string[]; server: Server }> {
  const asked: string[] = [];
  const x5c = readFileSync(certificate, 'utf8').replace(/-----[^-]+-----|\s/g, '');
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const sign = (access: object[]): string => {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: 'test',
      sub: user.username,
      aud: 'test',
      iat: now,
      nbf: now - 5,
      exp: now + 60,
      jti: randomUUID(),
      access,
    };
    const text = `${encode({ typ: 'JWT', alg: 'RS256', x5c: [x5c] })}.${encode(claims)}`;
    return `${text}.${createSign('RSA-SHA256').update(text).sign(readFileSync(key), 'base64url')}`;
  };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const form = new URLSearchParams(Buffer.concat(chunks).toString());
      const query = request.method === 'POST' ? form : new URL(request.url!, 'http://x').searchParams;
      const basic = `Basic ${Buffer.from(`${user.username}:${user.password}`).toString('base64')}`;
      const scopes = query.getAll('scope').flatMap((scope) => scope.split(' '));
      asked.push(`${request.method} ${scopes.join(' ')}`);
      const known =
        request.method === 'POST'
          ? form.get('refresh_token') === user.refreshToken
          : request.headers.authorization === basic;
      if (!known && (request.headers.authorization !== undefined || request.method === 'POST'))
        return response.writeHead(401).end(JSON.stringify({ details: 'incorrect username or password' }));
      const access = scopes.map((scope) => {
        const [type, name, actions = ''] = scope.split(':');
        return { type, name, actions: known ? actions.split(',') : ['pull'] };
      });
      response.end(
        JSON.stringify({
          [request.method === 'POST' ? 'access_token' : 'token']: sign(access),
          expires_in: 60,
        }),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { realm: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`, asked, server };
}

export async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
