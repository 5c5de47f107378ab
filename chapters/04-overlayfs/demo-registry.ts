import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A real docker-registry on loopback, with its files in a folder of the caller's. */
export interface LocalRegistry {
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
}

/** Starts one, and waits until it says at which port it listens. */
export async function startRegistry(dir: string, setup: RegistrySetup = {}): Promise<LocalRegistry> {
  const lines = [
    'version: 0.1',
    'log: { level: info, formatter: text }',
    `storage: { filesystem: { rootdirectory: ${join(dir, 'registry')} } }`,
    'http:',
    '  addr: 127.0.0.1:0',
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
  const file = join(dir, 'registry.yml');
  writeFileSync(file, `${lines.join('\n')}\n`);
  const child = spawn('docker-registry', ['serve', file], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(child, 'exit');
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    if (child.exitCode === null && child.signalCode === null) await ended;
  };
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
  for (const end = performance.now() + 60_000; ;) {
    const [, host] = /listening on (127\.0\.0\.1:\d+)/.exec(log) ?? [];
    if (host) return { host, stop };
    if (child.exitCode !== null || performance.now() > end) {
      await stop();
      throw new Error(`docker-registry does not start: ${log}`);
    }
    await sleep(20);
  }
}

/** A password as htpasswd -B writes it: crypt(3) of the C library does the work. */
function bcrypt(password: string): string {
  const script = 'print crypt($ARGV[0], q($2y$05$abcdefghijklmnopqrstuu))';
  return execFileSync('perl', ['-e', script, password], { encoding: 'utf8' });
}
