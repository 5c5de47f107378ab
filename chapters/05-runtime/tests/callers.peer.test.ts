import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listPids, readCmdline } from '../../01-processes/index.ts';
import { openCgroup } from '../../03-cgroups/index.ts';
import { LIMITS, podmanBy } from './podman.ts';
import { eventually, traces, workbench, type Said, type Workbench } from './workbench.ts';

let bench: Workbench;
let rootfs: string;
/** Where this test's callers put their containers' cgroups; found again by `traces`. */
let cgroupParent: string;

beforeAll(async () => {
  bench = await workbench();
  rootfs = join(bench.bundle(), 'rootfs');
  cgroupParent = `/${bench.id()}`;
});
afterAll(() => {
  expect(eventually(() => processes().length === 0)).toBe(true); // podman's monitors outlive its containers for a moment
  openCgroup(cgroupParent).remove(); // the callers' own folder, which they leave
  expect(traces(bench)).toEqual([]);
  bench.remove();
});

/** Processes of this test's: callers, monitors, containers. */
const processes = (): string[] =>
  listPids()
    .filter((pid) => pid !== process.pid)
    .map((pid) => (readCmdline(pid) ?? []).join(' '))
    .filter((line) => line.includes(bench.dir));

function call(program: string, args: string[]): Said {
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: 60_000,
    env: { PATH: process.env['PATH'], HOME: bench.dir, XDG_RUNTIME_DIR: bench.dir },
  });
  return { status, out: stdout, err: stderr };
}

/** What podman and docker can both be asked; each by its own command line. */
interface Caller {
  (...args: string[]): Said;
}

/** The life of a container, as a person at podman or docker leads it through. */
function life(caller: Caller, run: string[], image: string[]): void {
  const said = caller('run', '--rm', ...run, ...image, 'sh', '-c', 'echo out; echo err >&2; exit 5');
  expect(said).toMatchObject({ status: 5, out: 'out\n' });
  expect(said.err).toContain('err');

  const name = bench.id();
  const inspect = (field: string): string => caller('inspect', '-f', `{{${field}}}`, name).out.trim();
  // A shell that ends when it is told to: containers stop clean.
  const script = 'trap "exit 9" TERM; while :; do sleep 0.1; done';
  expect(caller('run', '-d', '--name', name, ...run, ...image, 'sh', '-c', script).status).toBe(0);
  expect(inspect('.State.Status')).toBe('running');
  const pid = inspect('.State.Pid');
  const shares = join('/sys/fs/cgroup/cpu', cgroupOf(pid), 'cpu.shares');

  expect(caller('exec', name, 'sh', '-c', 'echo in; exit 6')).toMatchObject({ status: 6, out: 'in\n' });
  expect([126, 127]).toContain(caller('exec', name, 'nope').status); // dockerd before 23 says 126, to runc too
  expect(caller('exec', '-e', 'A=b', '-w', '/etc', name, 'sh', '-c', 'echo $A; pwd').out).toBe('b\n/etc\n');

  expect(caller('pause', name).status).toBe(0);
  expect(inspect('.State.Status')).toBe('paused');
  expect(openCgroup(cgroupOf(pid)).frozen()).toBe(true);
  expect(caller('unpause', name).status).toBe(0);
  expect(inspect('.State.Status')).toBe('running');

  expect(caller('update', '--cpu-shares', '300', name)).toMatchObject({ status: 0 });
  expect(readFileSync(shares, 'utf8').trim()).toBe('300');

  expect(caller('stop', '-t', '20', name).status).toBe(0);
  expect(inspect('.State.ExitCode')).toBe('9');
  expect(caller('start', name).status).toBe(0);
  expect(caller('rm', '-f', name).status).toBe(0);
  expect(eventually(() => !existsSync(shares))).toBe(true);
}

const cgroupOf = (pid: string): string =>
  /^\d+:[^:]*\bcpu\b[^:]*:(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))![1]!;

describe('podman', () => {
  const podman: Caller = (...args) =>
    call('podman', [...podmanBy(bench.dir, bench.program, 'file'), ...args]);
  const options = (): string[] => ['--network', 'none', '--cgroup-parent', cgroupParent, ...LIMITS];

  it('runs, execs in, pauses, updates, stops, starts and removes containers with it', () => {
    life(podman, options(), ['--rootfs', rootfs]);
  });

  it('passes on that a command is not there: 127, and not executable: 126', () => {
    expect(podman('run', '--rm', ...options(), '--rootfs', rootfs, 'nope').status).toBe(127);
    expect(podman('run', '--rm', ...options(), '--rootfs', rootfs, '/etc').status).toBe(126);
  });

  it('gives a terminal, and loads an image', () => {
    const tar = join(bench.dir, 'rootfs.tar');
    spawnSync('tar', ['-C', rootfs, '-cf', tar, '.']);
    expect(podman('import', tar, 'mine').status).toBe(0);
    const { status, out } = podman(
      'run',
      '--rm',
      '-t',
      ...options(),
      'mine',
      'sh',
      '-c',
      'tty; stat -c %t /dev/console',
    );
    expect({ status, out }).toEqual({ status: 0, out: '/dev/pts/0\r\n88\r\n' });
    expect(podman('rmi', 'mine').status).toBe(0);
  });

  it('buildah runs commands with it', () => {
    const at = (name: string): string => join(bench.dir, 'buildah', name);
    const buildah: Caller = (...args) =>
      call('buildah', ['--root', at('root'), '--runroot', at('run'), '--storage-driver', 'vfs', ...args]);
    const container = buildah('from', 'scratch').out.trim();
    expect(buildah('copy', container, rootfs, '/').status).toBe(0);
    const run = (...command: string[]): Said =>
      buildah(
        'run',
        '--runtime',
        bench.program,
        '--isolation',
        'oci',
        '--network',
        'none',
        container,
        '--',
        ...command,
      );
    expect(run('sh', '-c', 'echo built > /made; id -u; exit 3')).toMatchObject({ status: 3, out: '0\n' });
    expect(run('cat', '/made')).toMatchObject({ status: 0, out: 'built\n' });
    expect(buildah('rm', container).status).toBe(0);
  });
});

describe('dockerd', () => {
  let dockerd: ChildProcess;
  const at = (name: string): string => join(bench.dir, 'dockerd', name);
  const docker: Caller = (...args) => call('docker', ['-H', `unix://${at('sock')}`, ...args]);

  /** In a network namespace of its own: dockerd changes routes and rules wherever it is. */
  beforeAll(() => {
    mkdirSync(at(''), { recursive: true });
    const places = [
      '--data-root',
      at('root'),
      '--exec-root',
      at('run'),
      '--pidfile',
      at('pid'),
      '-H',
      `unix://${at('sock')}`,
    ];
    const net = ['--bridge', 'none', '--iptables=false', '--ip6tables=false', '--ip-masq=false'];
    const how = [
      '--storage-driver',
      'vfs',
      '--exec-opt',
      'native.cgroupdriver=cgroupfs',
      '--cgroup-parent',
      cgroupParent,
    ];
    dockerd = spawn(
      'unshare',
      ['-n', 'dockerd', ...places, ...net, ...how, '--add-runtime', `my=${bench.program}`, '-l', 'error'],
      { stdio: ['ignore', 'ignore', 'ignore'] },
    );
    expect(eventually(() => docker('version').status === 0)).toBe(true);
  });
  afterAll(async () => {
    const ended = once(dockerd, 'exit');
    dockerd.kill('SIGTERM');
    if (dockerd.exitCode === null && dockerd.signalCode === null) await ended;
    expect(eventually(() => processes().length === 0)).toBe(true);
    for (const line of readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((each) => each.includes(at(''))))
      // prettier-ignore
      spawnSync('umount', [line.split(' ')[4]!]);
    // Where dockerd has the states of each runtime's containers.
    const roots = readdirSync(at('run')).filter((name) => name.startsWith('runtime-'));
    expect(roots).not.toEqual([]);
    for (const name of roots) expect(readdirSync(at(`run/${name}/moby`))).toEqual([]);
  });

  it('runs, execs in, pauses, updates, stops, starts and removes containers with it', () => {
    const tar = join(bench.dir, 'rootfs.tar');
    spawnSync('tar', ['-C', rootfs, '-cf', tar, '.']);
    expect(docker('import', tar, 'mine').status).toBe(0);
    life(docker, ['--runtime', 'my', '--network', 'none'], ['mine']);
    expect(docker('run', '--rm', '--runtime', 'my', '--network', 'none', 'mine', 'nope').status).toBe(127);
    expect(docker('run', '--rm', '--runtime', 'my', '--network', 'none', 'mine', '/etc').status).toBe(126);
    const terminal = docker('run', '--rm', '-t', '--runtime', 'my', '--network', 'none', 'mine', 'tty');
    expect(terminal).toMatchObject({ status: 0, out: '/dev/pts/0\r\n' });
  }, 120_000);
});
