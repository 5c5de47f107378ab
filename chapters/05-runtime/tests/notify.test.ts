import { spawn, spawnSync } from 'node:child_process';
import { chownSync, closeSync, existsSync, fstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { checked, declare } from '../../01-processes/index.ts';
import { bindSocket, SOCK } from '../unix-socket.ts';
import { c_receiveDescriptor, c_recv } from '../syscalls.ts';
import { eventually, traces, workbench, type Workbench } from './workbench.ts';

// This test is the service manager: it listens where NOTIFY_SOCKET says.

let bench: Workbench;
let manager: number;
let address: string;
let count = 0;
beforeAll(async () => void (bench = await workbench()));
afterEach(() => expect(traces(bench)).toEqual([]));
afterAll(() => bench.remove());

const c_listen = declare<(fd: number, backlog: number) => number>('int listen(int sockfd, int backlog)');
const c_accept = declare<(fd: number, address: null, length: null) => number>(
  'int accept(int sockfd, void *addr, void *addrlen)',
);

/** Calls myrunc as a service manager does, and leaves it running. */
function serviceOf(...args: string[]): { ended: Promise<number | null>; pid: number } {
  address = join(bench.dir, `manager${++count}`);
  manager = bindSocket(address, 'the test', SOCK.DGRAM | SOCK.NONBLOCK);
  const child = spawn(bench.program, ['--root', bench.root, ...args], {
    env: { PATH: process.env['PATH'], NOTIFY_SOCKET: address },
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: 110_000,
  });
  return { ended: new Promise((resolve) => child.on('exit', (status) => resolve(status))), pid: child.pid! };
}

/** The next message to the manager, without waiting. */
function heard(): string | undefined {
  const buffer = Buffer.alloc(256);
  const length = Number(c_recv(manager, buffer, buffer.length, 0));
  return length < 0 ? undefined : buffer.toString('utf8', 0, length);
}
async function next(): Promise<string> {
  let said: string | undefined;
  await expect.poll(() => (said ??= heard()), { timeout: 60_000 }).toBeDefined();
  return said!;
}

/** A bundle whose program says that it is ready once it is told to, by a file: in Perl, as every Debian has it, with the host's programs. */
function service(): { bundle: string; told: string } {
  const told = join(bench.dir, `told${++count}`);
  mkdirSync(told);
  const say = `perl -MSocket -e 'socket(S, PF_UNIX, SOCK_DGRAM, 0) or die; send(S, $ARGV[0], 0, sockaddr_un($ENV{NOTIFY_SOCKET})) or die $!'`;
  const script = `
    echo started >/told/started
    until [ -e /told/go ]; do sleep 0.05; done
    ${say} STATUS=nearly && ${say} "READY=1
STATUS=there" && echo $NOTIFY_SOCKET $(touch /run/notify/x 2>&1) >/told/said
    exec sleep 1000`;
  const bundle = bench.bundle((spec) => {
    spec.process.args = ['sh', '-c', script];
    spec.root!.readonly = false;
    spec.process.user = { uid: 1000, gid: 1000 };
    for (const source of ['/usr', '/lib', '/lib64'].filter((path) => existsSync(path)))
      spec.mounts.push({ destination: source, type: 'bind', source, options: ['rbind', 'ro'] });
    spec.mounts.push({ destination: '/told', type: 'bind', source: told, options: ['bind'] });
    spec.process.env!.push('PATH=/bin:/usr/bin');
  });
  chownSync(told, 1000, 1000);
  return { bundle, told };
}

describe('a container that a service manager starts', () => {
  it.each(['start', 'run --detach'])('is ready when its program says so, not before: %s', async (verb) => {
    const id = bench.id();
    const { bundle, told } = service();
    if (verb === 'start') expect(await serviceOf('create', '-b', bundle, id).ended).toBe(0);
    const command = serviceOf(...verb.split(' '), ...(verb === 'start' ? [id] : ['-b', bundle, id]));
    await expect.poll(() => existsSync(join(told, 'started')), { timeout: 60_000 }).toBe(true);
    expect(heard()).toBeUndefined();
    writeFileSync(join(told, 'go'), '');
    expect(await next()).toBe('READY=1\n');
    const { pid } = JSON.parse(bench.myrunc('state', id).out) as { pid: number };
    expect(await next()).toBe(`MAINPID=${pid}\n`);
    // myrunc stays until the manager has read so far: the manager then closes the descriptor that comes with it.
    const barrier = await received();
    expect(fstatSync(barrier).isFIFO()).toBe(true);
    expect(existsSync(`/proc/${command.pid}`)).toBe(true);
    closeSync(barrier);
    expect(await command.ended).toBe(0);
    // The shell makes the file first, and then writes to it.
    const said = (): string =>
      existsSync(join(told, 'said')) ? readFileSync(join(told, 'said'), 'utf8') : '';
    expect(eventually(() => said().endsWith('\n'))).toBe(true);
    expect(said()).toMatch(/^\/run\/notify\/notify.sock touch: .*Read-only file system\n$/);
    expect(bench.myrunc('delete', '--force', id)).toMatchObject({ status: 0, err: '' });
  });

  it('in the foreground is watched by myrunc, which is the main process then', async () => {
    const id = bench.id();
    const { bundle, told } = service();
    const command = serviceOf('run', '-b', bundle, id);
    await expect.poll(() => existsSync(join(told, 'started')), { timeout: 60_000 }).toBe(true);
    writeFileSync(join(told, 'go'), '');
    expect(await next()).toBe('READY=1\n');
    expect(await next()).toBe(`MAINPID=${command.pid}\n`);
    closeSync(await received());
    expect(bench.myrunc('kill', id, 'KILL').status).toBe(0);
    expect(await command.ended).toBe(137);
  });

  it('ends without a word: then nobody is waited for', async () => {
    const id = bench.id();
    const bundle = bench.bundle((spec) => void (spec.process.args = ['true']));
    expect(await serviceOf('run', '--detach', '-b', bundle, id).ended).toBe(0);
    expect(heard()).toBeUndefined();
    expect(bench.myrunc('delete', id).status).toBe(0);
  });
});

/** The descriptor that came with the next message. */
async function received(): Promise<number> {
  let fd = -1;
  await expect.poll(() => (fd = c_receiveDescriptor(manager)), { timeout: 60_000 }).toBeGreaterThan(-1);
  return fd;
}

describe('LISTEN_FDS', () => {
  it('are handed on, with the variables that say so to the first process', () => {
    const bundle = bench.bundle((spec) => {
      spec.process.args = ['sh', '-c', 'cat <&3; cat <&4; echo $LISTEN_FDS $LISTEN_PID $$'];
    });
    const script = `exec ${bench.program} --root ${bench.root} run -b ${bundle} ${bench.id()} 3<${bundle}/3 4<${bundle}/4`;
    writeFileSync(join(bundle, '3'), 'three\n');
    writeFileSync(join(bundle, '4'), 'four\n');
    const { stdout } = spawnSync('sh', ['-c', script], {
      env: { PATH: process.env['PATH'], LISTEN_FDS: '2' },
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect(stdout).toBe('three\nfour\n2 1 1\n');
  });
});

describe('--pidfd-socket', () => {
  it.each(['create', 'exec'])('gets a descriptor of the process: %s', async (verb) => {
    const id = bench.id();
    const bundle = bench.bundle((spec) => void (spec.process.args = ['sleep', '1000']));
    const path = join(bench.dir, `pidfd${++count}`);
    const listener = bindSocket(path, 'the test', SOCK.STREAM);
    checked('listen', c_listen(listener, 1));
    const words = { create: ['create', '-b', bundle], exec: ['exec', '-d'] }[verb]!;
    if (verb === 'exec') bench.myrunc('run', '-d', '-b', bundle, id);
    const pidFile = join(bench.dir, 'pid');
    const said = bench.myrunc(
      ...[...words, '--pidfd-socket', path, '--pid-file', pidFile, id],
      ...(verb === 'exec' ? ['sleep', '999'] : []),
    );
    expect(said).toMatchObject({ status: 0, err: '' });
    const connection = checked('accept', c_accept(listener, null, null));
    const pidfd = c_receiveDescriptor(connection);
    const info = readFileSync(`/proc/self/fdinfo/${pidfd}`, 'utf8');
    expect(info).toMatch(new RegExp(`^Pid:\\s+${readFileSync(pidFile, 'utf8')}$`, 'm'));
    for (const fd of [pidfd, connection, listener]) closeSync(fd);
    expect(bench.myrunc('delete', '--force', id)).toMatchObject({ status: 0, err: '' });
  });

  it('is refused before the container begins when nobody listens', () => {
    const bundle = bench.bundle((spec) => void (spec.process.args = ['true']));
    const { status, err } = bench.myrunc('run', '--pidfd-socket', '/no/such', '-b', bundle, bench.id());
    expect(status).toBe(1);
    expect(err).toMatch(/connect .*no\/such.*ENOENT/);
  });
});
