import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { namespacesOf, readCgroups, readStat } from '../../01-processes/index.ts';
import { c_receiveDescriptor } from '../syscalls.ts';
import { traces, workbench, type Workbench } from './workbench.ts';

let bench: Workbench;
let id: string;
beforeAll(async () => {
  bench = await workbench();
  id = bench.id();
  const bundle = bench.bundle((spec) => {
    spec.process.args = ['sleep', '1000'];
    spec.process.env!.push('FROM=config');
  });
  expect(bench.myrunc('run', '-d', '-b', bundle, id)).toMatchObject({ status: 0, err: '' });
});
afterAll(() => {
  bench.myrunc('delete', '-f', id);
  expect(traces(bench)).toEqual([]);
  bench.remove();
});

describe('exec', () => {
  it('runs a program in the namespaces and the cgroup of the container, and gives its exit status', () => {
    const { pid } = JSON.parse(bench.myrunc('state', id).out) as { pid: number };
    const { status, out } = bench.myrunc(
      'exec',
      id,
      'sh',
      '-c',
      'for n in mnt pid net ipc uts cgroup; do readlink /proc/self/ns/$n; done; echo $FROM; exit 9',
    );
    const its = namespacesOf(pid)!;
    expect(status).toBe(9);
    expect(out).toBe(
      `${['mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup'].map((kind) => `${its[kind]}\n`).join('')}config\n`,
    );
  });

  it('takes user, directory, environment and capabilities from the command line', () => {
    const { out } = bench.myrunc(
      'exec',
      '--user',
      '1000:100',
      '--cwd',
      '/etc',
      '--env',
      'A=b',
      '--cap',
      'CAP_CHOWN',
      id,
      'sh',
      '-c',
      'id -u; id -g; pwd; echo $A $FROM; grep CapBnd /proc/self/status',
    );
    expect(out).toMatch(/^1000\n100\n\/etc\nb config\nCapBnd:\t0000000020000421\n$/);
  });

  it('with --debug says how far it has come, in runc’s words: on standard error, or in the log alone', () => {
    const said = /nsexec container setup[^]*child process in init\(\)[^]*setns_init: about to exec/;
    const { status, err } = bench.myrunc('--debug', 'exec', id, 'true');
    expect({ status, err }).toEqual({ status: 0, err: expect.stringMatching(said) });
    const log = join(bench.dir, 'debug.log');
    expect(bench.myrunc('--debug', '--log', log, 'exec', id, 'true')).toMatchObject({ status: 0, err: '' });
    expect(readFileSync(log, 'utf8')).toMatch(said);
  });

  it('takes the whole process from a file, detached, and writes its pid', () => {
    const file = join(bench.dir, 'process.json');
    const pidFile = join(bench.dir, 'exec.pid');
    writeFileSync(file, JSON.stringify({ cwd: '/', args: ['/bin/sleep', '777'], user: { uid: 0, gid: 0 } }));
    expect(bench.myrunc('exec', '-d', '--process', file, '--pid-file', pidFile, id)).toMatchObject({
      status: 0,
      err: '',
    });
    const pid = Number(readFileSync(pidFile, 'utf8'));
    const { pid: init } = JSON.parse(bench.myrunc('state', id).out) as { pid: number };
    expect(readCgroups(pid)).toEqual(readCgroups(init));
    expect(JSON.parse(bench.myrunc('ps', '-f', 'json', id).out)).toContain(pid);
    expect(bench.myrunc('kill', '--all', id, 'CONT').status).toBe(0);
    process.kill(pid, 'SIGKILL');
  });

  it('takes it from a pipe too, as a shell’s <(…) is', () => {
    const json = JSON.stringify({ cwd: '/', args: ['/bin/echo', 'from a pipe'], user: { uid: 0, gid: 0 } });
    const words = [bench.program, '--root', bench.root, 'exec', '--process'];
    const { stdout, stderr } = spawnSync('bash', ['-c', `${words.join(' ')} <(echo '${json}') ${id}`], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect({ stdout, stderr }).toEqual({ stdout: 'from a pipe\n', stderr: '' });
  });

  it('fails with 255 and the words for "not found" and "not executable"', () => {
    expect(bench.myrunc('exec', id, 'nope')).toMatchObject({
      status: 255,
      err: expect.stringContaining('executable file not found in $PATH'),
    });
    expect(bench.myrunc('exec', id, '/etc')).toMatchObject({
      status: 255,
      err: expect.stringContaining('permission denied'),
    });
    expect(bench.myrunc('exec', 'never-was', 'true')).toMatchObject({
      status: 255,
      err: expect.stringContaining('does not exist'),
    });
  });
});

/** A shell's words that write so many lines, which tell their numbers. */
const count = (lines: number): string => `i=0; while [ $i -lt ${lines} ]; do echo line $i; i=$((i+1)); done`;

describe('a terminal', () => {
  it('is made in the container, and given to whoever listens at the console socket', async () => {
    const path = join(bench.dir, 'console.sock');
    const listener = createServer({ pauseOnConnect: true });
    await new Promise<void>((resolve) => void listener.listen(path, resolve));
    const connected = new Promise<Socket>((resolve) => void listener.once('connection', resolve));
    const other = bench.id();
    const bundle = bench.bundle((spec) => {
      spec.process.terminal = true;
      spec.process.consoleSize = { height: 33, width: 77 };
      spec.process.args = ['sh', '-c', 'tty; stty size; stat -c %t:%T /dev/console; exec sleep 1000'];
    });
    const argv = ['--root', bench.root, 'run', '-d', '-b', bundle, '--console-socket', path, other];
    const running = spawn(bench.program, argv, { stdio: 'inherit', timeout: 60_000 });
    const ended = once(running, 'exit');
    const socket = await connected;
    expect(await ended).toEqual([0, null]);
    // Node cannot receive descriptors; the socket's own number can.
    const master = c_receiveDescriptor((socket as unknown as { _handle: { fd: number } })._handle.fd);
    expect(master).toBeGreaterThan(2);
    let text = '';
    const chunk = Buffer.alloc(4096);
    while (!/:\d+\r\n/.test(text)) text += chunk.subarray(0, readSync(master, chunk)).toString();
    expect(text).toBe('/dev/pts/0\r\n33 77\r\n88:0\r\n');
    socket.destroy();
    listener.close();
    closeSync(master); // hangs up: the session gets SIGHUP, and PID 1 has no handler that would keep it
    bench.myrunc('delete', '-f', other);
  });

  it('is held by myrunc itself in the foreground, and nothing of the output is lost', () => {
    const lines = 2000;
    const bundle = bench.bundle((spec) => {
      spec.process.terminal = true;
      spec.process.args = ['sh', '-c', `tty; ${count(lines)}; exit 5`];
    });
    const { status, out } = bench.myrunc('run', '-b', bundle, bench.id());
    const [first, ...rest] = out.trim().split('\r\n');
    expect({ status, first, count: rest.length, last: rest.at(-1) }).toEqual({
      status: 5,
      first: '/dev/pts/0',
      count: lines,
      last: `line ${lines - 1}`,
    });
  });

  it('gives all of the output also when this runtime gets to it after its end', async () => {
    const lines = 700; // 7 kB: no terminal holds much more
    const other = bench.id();
    const bundle = bench.bundle((spec) => {
      spec.process.terminal = true;
      spec.process.args = ['sh', '-c', `echo begins; until [ -e /go ]; do sleep 0.05; done; ${count(lines)}`];
    });
    const running = spawn(bench.program, ['--root', bench.root, 'run', '-b', bundle, other], {
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: 60_000,
    });
    const closed = once(running, 'close');
    let out = '';
    running.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    await expect.poll(() => out, { timeout: 30_000 }).toBe('begins\r\n');
    const { pid } = JSON.parse(bench.myrunc('state', other).out) as { pid: number };
    running.kill('SIGSTOP');
    writeFileSync(join(bundle, 'rootfs/go'), '');
    await expect.poll(() => readStat(pid)?.state, { timeout: 30_000 }).toBe('Z');
    running.kill('SIGCONT');
    expect(await closed).toEqual([0, null]);
    expect(out.trim().split('\r\n').slice(1)).toEqual(Array.from({ length: lines }, (_, i) => `line ${i}`));
  });

  it('takes what is typed, also for exec', () => {
    const said = spawnSync(
      bench.program,
      ['--root', bench.root, 'exec', '-t', id, 'sh', '-c', 'tty; read word; echo "got $word"; exit 3'],
      { input: 'hello\n', encoding: 'utf8', timeout: 120_000 },
    );
    expect(said.status).toBe(3);
    expect(said.stdout).toContain('/dev/pts/');
    expect(said.stdout).toContain('got hello');
  });
});
