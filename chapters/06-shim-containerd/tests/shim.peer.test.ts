import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isAlive } from '../../01-processes/index.ts';
import { eventually, gone, openShimBench, shimPid, type ShimBench } from '../demo-support.ts';

/** How other runtimes are called. */
const OTHERS = {
  runc: 'exec runc "$@"',
  // It refuses a machine that has cgroups of both versions: in a mount namespace of its own it sees the first alone.
  crun: `exec unshare -m sh -c '
    if mountpoint -q /sys/fs/cgroup/unified; then mount -t tmpfs none /sys/fs/cgroup/unified; fi
    exec crun "$@"' crun "$@"`,
  // A kernel of its own, as a program: the host's interfaces are not for it.
  runsc: 'exec runsc --network=none "$@"',
};

let bench: ShimBench;
let containerd: ChildProcess;
let address: string;

const startContainerd = async (): Promise<void> => {
  containerd = spawn('containerd', ['--config', join(bench.directory, 'config.toml')], { stdio: 'ignore' });
  expect(
    await eventually(() => spawnSync('ctr', ['-a', address, 'version'], { timeout: 20_000 }).status === 0),
  ).toBe(true);
};

beforeAll(async () => {
  bench = await openShimBench('shim-peer');
  const { directory } = bench;
  address = join(directory, 'containerd.sock');
  writeFileSync(
    join(directory, 'config.toml'),
    `version = 2
root = "${directory}/root"
state = "${directory}/run"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "${address}"
`,
  );
  // The same shim with another runtime beside it, under myrunc's name.
  for (const [name, call] of Object.entries(OTHERS)) {
    mkdirSync(join(directory, `with-${name}`));
    writeFileSync(join(directory, `with-${name}/myrunc`), `#!/bin/sh\n${call}\n`, { mode: 0o755 });
    for (const file of ['containerd-shim-myrunc-v2', '.containerd-shim-myrunc-v2.program'])
      copyFileSync(join(dirname(bench.shim), file), join(directory, `with-${name}`, file));
  }
  await startContainerd();
});
afterAll(async () => {
  containerd.kill('SIGTERM');
  await eventually(() => containerd.exitCode !== null);
  await bench.close();
});

interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
}

/** Runs ctr; what hangs is killed. */
async function ctr(...args: string[]): Promise<Outcome> {
  const running = promisify(execFile)('ctr', ['-a', address, ...args], {
    timeout: 60_000,
    killSignal: 'SIGKILL',
  });
  running.child.stdin!.end();
  try {
    return { status: 0, ...(await running) };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { status: code, stdout, stderr };
  }
}

/** The same with a terminal of its own. */
const onTerminal = (...args: string[]): Outcome => {
  const command = ['ctr', '-a', address, ...args].map((word) => `'${word}'`).join(' ');
  const { status, stdout, stderr } = spawnSync('script', ['-qec', command, '/dev/null'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
    killSignal: 'SIGKILL',
    encoding: 'utf8',
  });
  return { status: status ?? -1, stdout, stderr };
};

/** Whoever deletes a task does not wait for its shim, which tells the last events first. */
const expectShimGone = async (id: string): Promise<void> =>
  expect(await eventually(() => shimPid(id) === undefined)).toBe(true);
const hasStopped = async (id: string): Promise<boolean> =>
  new RegExp(`^${id} .*STOPPED`, 'm').test((await ctr('task', 'ls')).stdout);

const root = (): string => join(bench.directory, 'image');
const shimWith = (runtime: string): string =>
  runtime === 'myrunc' ? bench.shim : join(bench.directory, `with-${runtime}`, 'containerd-shim-myrunc-v2');

describe.each(['myrunc', 'runc', 'crun'])(
  "containerd's own daemon and ctr, with %s as the runtime",
  (runtime) => {
    const run = (): string[] => ['run', '--runtime', shimWith(runtime), '--rootfs'];

    test('run containers, and get their output and status', async () => {
      const script = 'seq 3000; echo err >&2; exit 7';
      const { status, stdout, stderr } = await ctr(
        ...run(),
        '--rm',
        root(),
        `${runtime}-a`,
        '/bin/sh',
        '-c',
        script,
      );
      expect(stdout.split('\n').at(-2)).toBe('3000');
      expect(stderr).toContain('err\n');
      expect(status).toBe(7);
      expect((await ctr('task', 'ls', '-q')).stdout).not.toContain(`${runtime}-a`);
      await expectShimGone(`${runtime}-a`);
    });

    test('run them on a terminal', () => {
      const { status, stdout } = onTerminal(
        ...run(),
        '--rm',
        '-t',
        root(),
        `${runtime}-t`,
        '/bin/sh',
        '-c',
        'tty; exit 3',
      );
      expect(stdout).toContain('/dev/pts/0\r');
      expect(status).toBe(3);
    });

    test('learn why one cannot be made', async () => {
      const { status, stderr } = await ctr(...run(), '--rm', root(), `${runtime}-n`, '/bin/none');
      expect(status).not.toBe(0);
      expect(stderr).toMatch(/OCI runtime create failed: .*none/);
      await expectShimGone(`${runtime}-n`);
    });

    test('exec, pause, resume, measure, kill and delete', async () => {
      const id = `${runtime}-d`;
      expect((await ctr(...run(), '-d', root(), id, '/bin/sleep', '1000')).status).toBe(0);
      const exec = await ctr('task', 'exec', '--exec-id', 'e1', id, '/bin/sh', '-c', 'echo inside; exit 5');
      expect(exec).toMatchObject({ status: 5, stdout: 'inside\n' });
      expect(onTerminal('task', 'exec', '-t', '--exec-id', 'e2', id, '/bin/tty').stdout).toContain(
        '/dev/pts/0',
      );
      await ctr('task', 'pause', id);
      expect((await ctr('task', 'ls')).stdout).toMatch(new RegExp(`${id} +\\d+ +PAUSED`));
      await ctr('task', 'resume', id);
      expect((await ctr('task', 'metrics', id)).stdout).toMatch(/memory\.usage_in_bytes +\d+|memory\.usage/);
      expect((await ctr('task', 'kill', '-s', '9', id)).status).toBe(0);
      expect(await eventually(() => hasStopped(id))).toBe(true);
      await ctr('task', 'delete', id);
      expect((await ctr('container', 'delete', id)).status).toBe(0);
    });

    test('find the container again after they were killed themselves', async () => {
      const id = `${runtime}-k`;
      await ctr(...run(), '-d', root(), id, '/bin/sleep', '1000');
      const pid = Number(new RegExp(`${id} +(\\d+) +RUNNING`).exec((await ctr('task', 'ls')).stdout)![1]);
      containerd.kill('SIGKILL');
      await eventually(() => containerd.signalCode !== null);
      expect(isAlive(pid)).toBe(true);
      await startContainerd();
      expect((await ctr('task', 'ls')).stdout).toMatch(new RegExp(`${id} +${pid} +RUNNING`));
      await ctr('task', 'kill', '-s', '9', id);
      expect(await gone(pid)).toBe(true);
      await ctr('task', 'delete', id);
      await ctr('container', 'delete', id);
    });

    test('clean up after a shim that was killed', async () => {
      const id = `${runtime}-s`;
      await ctr(...run(), '-d', root(), id, '/bin/sleep', '1000');
      const pid = Number(new RegExp(`${id} +(\\d+) +RUNNING`).exec((await ctr('task', 'ls')).stdout)![1]);
      process.kill(shimPid(id)!, 'SIGKILL');
      expect(await gone(pid)).toBe(true);
      expect(await eventually(async () => !(await ctr('task', 'ls', '-q')).stdout.includes(id))).toBe(true);
      expect((await ctr('container', 'delete', id)).status).toBe(0);
    });
  },
);

// gVisor: what runs in the container does not run on this machine's kernel, and so not all is as with the others.
test("with runsc as the runtime, containers run on gVisor's kernel: output, status, terminal, exec, kill, delete", async () => {
  const run = ['run', '--runtime', shimWith('runsc'), '--rootfs'];
  const script = 'cat /proc/version; echo err >&2; exit 7';
  const { status, stdout, stderr } = await ctr(...run, '--rm', root(), 'runsc-a', '/bin/sh', '-c', script);
  expect(stdout).toMatch(/^Linux version 4\.4\.0 /); // which it says that it is
  expect(stdout).not.toBe(readFileSync('/proc/version', 'utf8'));
  expect(stderr).toContain('err\n');
  expect(status).toBe(7);
  const terminal = onTerminal(
    ...run,
    '--rm',
    '-t',
    root(),
    'runsc-t',
    '/bin/sh',
    '-c',
    'test -t 0 && exit 3',
  );
  expect(terminal.status).toBe(3);
  expect((await ctr(...run, '-d', root(), 'runsc-d', '/bin/sleep', '1000')).status).toBe(0);
  const exec = await ctr(
    'task',
    'exec',
    '--exec-id',
    'e1',
    'runsc-d',
    '/bin/sh',
    '-c',
    'echo inside; exit 5',
  );
  expect(exec).toMatchObject({ status: 5, stdout: 'inside\n' });
  expect((await ctr('task', 'kill', '-s', '9', 'runsc-d')).status).toBe(0);
  expect(await eventually(() => hasStopped('runsc-d'))).toBe(true);
  await ctr('task', 'delete', 'runsc-d');
  expect((await ctr('container', 'delete', 'runsc-d')).status).toBe(0);
  await expectShimGone('runsc-d');
});
