import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
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

/** Starts one, and waits until it accepts connections. */
export async function startRegistry(dir: string, setup: RegistrySetup = {}): Promise<LocalRegistry> {
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

async function freePort(): Promise<number> {
  const server = createServer();
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
