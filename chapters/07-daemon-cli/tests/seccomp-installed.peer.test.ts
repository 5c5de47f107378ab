import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DOCKER_CAPABILITIES, parseCapability } from '../../01-processes/index.ts';
import { until } from '../../01-processes/tests/until.ts';
import { openCgroup } from '../../03-cgroups/index.ts';
import { findBusybox } from '../../04-overlayfs/index.ts';
import type { OciSeccomp, OciSpec } from '../../05-runtime/index.ts';
import { LIMITS, podmanBy } from '../../05-runtime/tests/podman.ts';
import { defaultSeccomp } from '../seccomp-profile.ts';

// What dockerd and podman really give to a runtime when nothing is said, beside what mydockerd gives: a script in runc's place keeps config.json.

const dir = mkdtempSync(join(tmpdir(), 'ch07-installed-'));
const cgroup = `/${dir.slice(dir.lastIndexOf('/') + 1)}`;
const rootfs = join(dir, 'rootfs');
const listener = join(dir, 'listener');

beforeAll(() => {
  mkdirSync(join(rootfs, 'bin'), { recursive: true });
  copyFileSync(findBusybox(), join(rootfs, 'bin/sh'));
  const script = 'for a; do [ -f "$a/config.json" ] && cp "$a/config.json" "$0.json"; done; exec runc "$@"';
  writeFileSync(listener, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
});
afterAll(() => {
  const own = openCgroup(cgroup);
  until('podman’s monitor has ended', () => own.pids().length === 0);
  own.remove();
  rmSync(dir, { recursive: true, force: true });
});

/** The config.json that came with the last container. */
function kept(): OciSpec {
  const spec = JSON.parse(readFileSync(`${listener}.json`, 'utf8')) as OciSpec;
  rmSync(`${listener}.json`);
  return spec;
}

/** Calls that are allowed whatever their arguments are. */
const allowed = ({ syscalls = [] }: OciSeccomp): string[] =>
  syscalls
    .filter(({ action, args }) => action === 'SCMP_ACT_ALLOW' && !args?.length)
    .flatMap(({ names }) => names);

/** Calls that the kernel, or Docker's profile, got after these programs were made. */
const NEWER =
  'cachestat fchmodat2 futex_requeue futex_wait futex_waitv futex_wake getxattrat listmount listxattrat map_shadow_stack mseal removexattrat riscv_hwprobe setxattrat statmount uretprobe';
/** Let through by dockerd 23 and later: pkeys, handles of files, and what ptrace(2) allows anyway. */
const DOCKERD_LATER =
  'name_to_handle_at pkey_alloc pkey_free pkey_mprotect process_vm_readv process_vm_writev';
/** Taken away by dockerd 25: io_uring, and sockets of AF_VSOCK, for which socket(2) has a condition now. */
const DOCKERD_NO_MORE = 'io_uring_enter io_uring_register io_uring_setup socket';
/** Forbidden by podman's own profile, and not by Docker's. */
const NOT_PODMANS = 'io_pgetevents io_pgetevents_time64 vmsplice';

/** Those that are not known to differ. */
const unknown = (names: readonly string[], ...lists: string[]): string[] =>
  names.filter((name) => !lists.join(' ').split(' ').includes(name));

/** What one allows and the other does not, by our default for the same capabilities. */
function compare(spec: OciSpec): { theirs: string[]; ours: string[] } {
  const own = defaultSeccomp(spec.process!.capabilities!.bounding!.map(parseCapability));
  expect(spec.linux!.seccomp!.defaultAction).toBe(own.defaultAction);
  expect(new Set(spec.linux!.seccomp!.architectures)).toEqual(new Set(own.architectures));
  const [mine, its] = [new Set(allowed(own)), new Set(allowed(spec.linux!.seccomp!))];
  const but = (these: Set<string>, those: Set<string>): string[] =>
    [...these].filter((name) => !those.has(name)).sort();
  return { theirs: but(its, mine), ours: but(mine, its) };
}

const call = (program: string, ...args: string[]): { status: number | null; stderr: string } =>
  spawnSync(program, args, {
    encoding: 'utf8',
    timeout: 60_000,
    env: { PATH: process.env['PATH'], HOME: dir, XDG_RUNTIME_DIR: dir },
  });

test('podman’s filter forbids nothing more than mydockerd’s but what is known, and leaves mounts and namespaces to capabilities', () => {
  const limits = [...LIMITS, '--cgroup-parent', cgroup];
  const run = ['run', '--rm', '--network', 'none', ...limits, '--rootfs', rootfs, 'sh', '-c', ':'];
  const { status, stderr } = call('podman', ...podmanBy(dir, listener, 'none'), ...run);
  expect({ status, stderr }).toMatchObject({ status: 0 });
  const { theirs, ours } = compare(kept());
  expect(unknown(ours, NEWER, NOT_PODMANS)).toEqual([]);
  for (const name of ['mount', 'unshare', 'setns', 'pivot_root']) expect(theirs).toContain(name);
});

test('dockerd’s filter and capabilities are mydockerd’s, but for what has changed since', async () => {
  const at = (name: string): string => join(dir, 'dockerd', name);
  mkdirSync(at(''));
  const daemon: ChildProcess = spawn(
    'unshare',
    [
      ...['-n', 'dockerd', '--data-root', at('root'), '--exec-root', at('run'), '--pidfile', at('pid')],
      ...['-H', `unix://${at('sock')}`, '--bridge', 'none', '--iptables=false', '--ip6tables=false'],
      ...['--ip-masq=false', '--storage-driver', 'vfs', '--exec-opt', 'native.cgroupdriver=cgroupfs'],
      ...['--cgroup-parent', cgroup, '--add-runtime', `kept=${listener}`, '-l', 'error'],
    ],
    { stdio: 'ignore' },
  );
  const docker = (...args: string[]): ReturnType<typeof call> =>
    call('docker', '-H', `unix://${at('sock')}`, ...args);
  try {
    await expect.poll(() => docker('version').status, { timeout: 60_000 }).toBe(0);
    const tar = join(dir, 'rootfs.tar');
    expect(spawnSync('tar', ['-C', rootfs, '-cf', tar, '.']).status).toBe(0);
    expect(docker('import', tar, 'mine').status).toBe(0);
    expect(
      docker('run', '--rm', '--runtime', 'kept', '--network', 'none', 'mine', 'sh', '-c', ':'),
    ).toMatchObject({
      status: 0,
    });
    const spec = kept();
    expect(new Set(spec.process!.capabilities!.bounding)).toEqual(new Set(DOCKER_CAPABILITIES));
    const { theirs, ours } = compare(spec);
    expect(unknown(theirs, DOCKERD_NO_MORE)).toEqual([]);
    expect(unknown(ours, NEWER, DOCKERD_LATER)).toEqual([]);
  } finally {
    const ended = new Promise((resolve) => daemon.once('exit', resolve));
    if (daemon.exitCode === null && daemon.kill('SIGTERM')) await ended;
    for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n'))
      if (line.includes(at(''))) spawnSync('umount', [line.split(' ')[4]!]);
  }
}, 120_000);
