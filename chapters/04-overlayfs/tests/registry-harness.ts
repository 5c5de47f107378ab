import { execFileSync } from 'node:child_process';
import { createSign, randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

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
