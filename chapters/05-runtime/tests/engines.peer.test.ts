import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCgroup } from '../../03-cgroups/index.ts';
import { eventually, workbench, type Said, type Workbench } from './workbench.ts';

let bench: Workbench;
let containerd: ChildProcess;
let rootfs: string;

/** Stock containerd in places of its own; its shim starts our runtime, and that keeps its state below /run/containerd/runc/NAMESPACE. */
beforeAll(async () => {
  bench = await workbench();
  rootfs = join(bench.bundle(), 'rootfs');
  const at = (name: string): string => join(bench.dir, 'containerd', name);
  mkdirSync(at(''), { recursive: true });
  containerd = spawn(
    'containerd',
    ['--root', at('root'), '--state', at('state'), '--address', at('sock'), '--log-level', 'error'],
    { stdio: 'ignore' },
  );
  expect(eventually(() => existsSync(at('sock')) && ctr('version').status === 0)).toBe(true);
});
afterAll(async () => {
  const ended = once(containerd, 'exit');
  containerd.kill();
  if (containerd.exitCode === null && containerd.signalCode === null) await ended;
  rmSync(`/run/containerd/runc/${namespace}`, { recursive: true, force: true });
  openCgroup(`/${namespace}`).remove(); // the folder of containerd's namespace, which runc leaves too
  bench.remove();
});

const namespace = `ch05-${Math.random().toString(36).slice(2, 8)}`;

function ctr(...args: string[]): Said {
  const { status, stdout, stderr } = spawnSync(
    'ctr',
    ['-a', join(bench.dir, 'containerd/sock'), '-n', namespace, ...args],
    { encoding: 'utf8', timeout: 30_000 },
  );
  return { status, out: stdout, err: stderr };
}

const run = (runtime: string, ...args: string[]): Said =>
  ctr('run', '--rm', '--rootfs', '--runc-binary', runtime, rootfs, ...args);

describe('stock containerd and its stock shim', () => {
  it('run a container, and see its exit status', () => {
    expect(run(bench.program, 'c1', '/bin/sh', '-c', 'echo hello; exit 7')).toMatchObject({
      status: 7,
      out: 'hello\n',
    });
  });

  it('pass on that a command is not there, as from runc but for the name', () => {
    const ours = run(bench.program, 'c2', 'nope');
    const theirs = run('runc', 'c3', 'nope');
    expect(ours.status).toBe(theirs.status);
    expect(ours.err.replaceAll('myrunc', 'runc')).toBe(theirs.err);
  });

  it('exec, list, pause, resume, measure and kill', () => {
    expect(
      ctr('run', '-d', '--rootfs', '--runc-binary', bench.program, rootfs, 'c4', '/bin/sleep', '1000').status,
    ).toBe(0);
    expect(
      ctr('task', 'exec', '--exec-id', 'e1', 'c4', '/bin/sh', '-c', 'echo inside; exit 6'),
    ).toMatchObject({ status: 6, out: 'inside\n' });
    const status = (): string => ctr('task', 'ls').out.split('\n')[1]!.split(/\s+/)[2]!;
    expect(status()).toBe('RUNNING');
    expect(ctr('task', 'pause', 'c4').status).toBe(0);
    expect(status()).toBe('PAUSED');
    expect(ctr('task', 'resume', 'c4').status).toBe(0);
    expect(ctr('task', 'ps', 'c4').out).toMatch(/^PID +INFO\n\d+/);
    expect(ctr('task', 'kill', '-s', 'KILL', 'c4').status).toBe(0);
    expect(eventually(() => status() === 'STOPPED')).toBe(true);
    ctr('task', 'rm', 'c4');
    expect(ctr('container', 'rm', 'c4').status).toBe(0);
    expect(existsSync(`/run/containerd/runc/${namespace}/c4`)).toBe(false);
  });

  it('show the program the same world as under runc: mounts, rights, limits', () => {
    const look =
      'cd /proc/self; cut -d" " -f2-4 mounts | sort; grep -E "Cap|NoNew|Seccomp" status; cat limits oom_score_adj; env | sort; id; ls -l /dev; umask; pwd';
    const applets = ['cut', 'sort'];
    const shell = [
      '/bin/sh',
      '-c',
      applets.map((name) => `${name}() { busybox ${name} "$@"; }; `).join('') + look,
    ];
    const normal = ({ out }: Said): string[] =>
      out
        .replace(/\w{3} +\d+ \d\d:\d\d/g, 'DATE')
        .split('\n')
        .filter(
          (line) =>
            !/HOSTNAME|^total|^devtmpfs|devtmpfs|^Max (pending|processes)/.test(line) &&
            !/ tmpfs .*(nr_inodes|size=0)/.test(line) &&
            !/^\/(proc|sys)\S* /.test(line),
        );
    expect(normal(run(bench.program, 'same', ...shell))).toEqual(normal(run('runc', 'same', ...shell)));
  });
});

describe('runc itself', () => {
  it('would write the same config.json, but for version and names', () => {
    const theirs = join(bench.dir, 'theirs');
    mkdirSync(theirs);
    spawnSync('runc', ['spec', '-b', theirs]);
    bench.myrunc('spec', '-b', bench.dir);
    const read = (dir: string): Record<string, unknown> =>
      JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')) as Record<string, unknown>;
    const [mine, its] = [read(bench.dir), read(theirs)];
    expect(mine).toEqual({ ...its, ociVersion: mine['ociVersion'], hostname: 'myrunc' });
    writeFileSync(join(bench.dir, 'config.json'), '');
    expect(bench.myrunc('spec', '-b', bench.dir).err).toContain('remove it first');
  });

  it('runs the very bundle that we run, with the same result', () => {
    const bundle = bench.bundle((spec) => {
      spec.ociVersion = '1.0.2-dev';
      spec.process.args = ['sh', '-c', 'id; hostname; cat /proc/self/cgroup | head -n1; exit 3'];
    });
    const id = bench.id();
    const theirs = spawnSync('runc', ['--root', join(bench.dir, 'runc'), 'run', '-b', bundle, id], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    const ours = bench.myrunc('run', '-b', bundle, id);
    expect(ours).toEqual({ status: theirs.status, out: theirs.stdout, err: theirs.stderr });
  });
});
