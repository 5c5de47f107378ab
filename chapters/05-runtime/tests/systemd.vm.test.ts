import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { readCgroups } from '../../01-processes/index.ts';
import { show } from '../../03-cgroups/tests/systemctl.ts';
import { eventually, traces, workbench, type Said, type Workbench } from './workbench.ts';

// On a machine whose first process is systemd: the judges are systemctl, and podman.

const MB = 1024 * 1024;
let bench: Workbench;
beforeAll(async () => void (bench = await workbench()));
afterEach(() => expect(traces(bench)).toEqual([]));
afterAll(() => bench.remove());

/** A bundle of a program that sleeps, for the systemd driver. */
const sleeping = (
  place: string | undefined,
  change: Parameters<Workbench['bundle']>[0] = () => undefined,
): string =>
  bench.bundle((spec) => {
    if (place === undefined) delete spec.linux.cgroupsPath;
    else spec.linux.cgroupsPath = place;
    spec.process.args = ['sleep', '1000'];
    change(spec);
  });
const systemd = (...args: string[]): Said => bench.myrunc('--systemd-cgroup', ...args);
const stateOf = (id: string): { pid: number; status: string } =>
  JSON.parse(bench.myrunc('state', id).out) as { pid: number; status: string };

describe('--systemd-cgroup', () => {
  it('has systemd make a scope for the whole life of a container', () => {
    const id = bench.id();
    const unit = `test-${id}.scope`;
    const limit = randomInt(20, 40) * MB;
    const bundle = sleeping(`system.slice:test:${id}`, (spec) => {
      spec.linux.resources = { memory: { limit }, pids: { limit: 77 } };
      spec.annotations = { 'org.systemd.property.TimeoutStopUSec': 'uint64 12000000' };
    });
    expect(systemd('create', '--bundle', bundle, id)).toMatchObject({ status: 0, err: '' });
    expect(
      show(unit, 'ActiveState', 'Slice', 'Delegate', 'MemoryMax', 'TasksMax', 'TimeoutStopUSec'),
    ).toEqual({
      ActiveState: 'active',
      Slice: 'system.slice',
      Delegate: 'yes',
      MemoryMax: String(limit),
      TasksMax: '77',
      TimeoutStopUSec: '12s',
    });
    const { pid } = stateOf(id);
    expect(readCgroups(pid)!.at(-1)!.path).toBe(`/system.slice/${unit}`);

    // The other commands are not told which driver it is.
    expect(bench.myrunc('start', id).status).toBe(0);
    expect(bench.myrunc('exec', id, 'cat', '/proc/self/cgroup').out).toBe('0::/\n');
    expect(JSON.parse(bench.myrunc('ps', '--format', 'json', id).out)).toEqual([pid]);
    expect(bench.myrunc('pause', id).status).toBe(0);
    expect(stateOf(id).status).toBe('paused');
    expect(bench.myrunc('resume', id).status).toBe(0);
    expect(bench.myrunc('update', '--memory', '50M', '--pids-limit', '33', id)).toMatchObject({
      status: 0,
      err: '',
    });
    expect(show(unit, 'MemoryMax', 'TasksMax')).toEqual({ MemoryMax: String(50 * MB), TasksMax: '33' });
    const { data } = JSON.parse(bench.myrunc('events', '--stats', id).out) as {
      data: { memory: { usage: { limit: number } }; pids: { limit: number } };
    };
    expect([data.memory.usage.limit, data.pids.limit]).toEqual([50 * MB, 33]);

    expect(bench.myrunc('kill', id, 'KILL').status).toBe(0);
    expect(eventually(() => stateOf(id).status === 'stopped')).toBe(true);
    expect(bench.myrunc('delete', id)).toMatchObject({ status: 0, err: '' });
    expect(show(unit, 'LoadState', 'ActiveState')).toEqual({
      LoadState: 'not-found',
      ActiveState: 'inactive',
    });
  });

  it('names the unit after the container where nothing is said; delete --force ends it', () => {
    const id = bench.id();
    expect(systemd('run', '--detach', '--bundle', sleeping(undefined), id)).toMatchObject({
      status: 0,
      err: '',
    });
    expect(show(`myrunc-${id}.scope`, 'ActiveState', 'Slice')).toEqual({
      ActiveState: 'active',
      Slice: 'system.slice',
    });
    expect(bench.myrunc('delete', '--force', id)).toMatchObject({ status: 0, err: '' });
    expect(show(`myrunc-${id}.scope`, 'LoadState')).toEqual({ LoadState: 'not-found' });
  });

  it.each<[string, string, (id: string) => [string, Parameters<Workbench['bundle']>[0]?]]>([
    ['a path of the other driver', 'expected cgroupsPath to be of format', () => ['/a/b']],
    ['no slice', 'is not the name of a slice', (id) => [`a.service:test:${id}`]],
    [
      'a property that systemd does not know',
      'NoSuchThing',
      (id) => [
        `system.slice:test:${id}`,
        (spec) => void (spec.annotations = { 'org.systemd.property.NoSuchThing': 'true' }),
      ],
    ],
    [
      'a limit that the kernel refuses',
      'pids.limit',
      (id) => [
        `system.slice:test:${id}`,
        (spec) => void (spec.linux.resources = { pids: { limit: 2 ** 40 } }),
      ],
    ],
  ])('leaves nothing after an error: %s', (_what, message, made) => {
    const id = bench.id();
    const { status, err } = systemd('create', '--bundle', sleeping(...made(id)), id);
    expect(status).toBe(1);
    expect(err).toContain(message);
    expect(show(`test-${id}.scope`, 'ActiveState')).toEqual({ ActiveState: 'inactive' });
  });

  it('is what podman asks for with --cgroup-manager=systemd', () => {
    expect(existsSync('/usr/bin/podman')).toBe(true);
    const rootfs = `${sleeping(undefined)}/rootfs`;
    const name = bench.id();
    const podman = (...args: string[]): Said => {
      const { status, stdout, stderr } = spawnSync(
        'podman',
        [
          ...['--runtime', bench.program, '--cgroup-manager=systemd', '--root', `${bench.dir}/podman`],
          ...[
            '--runroot',
            `${bench.dir}/podman-run`,
            '--storage-driver=vfs',
            '--events-backend=none',
            ...args,
          ],
        ],
        { encoding: 'utf8', timeout: 100_000 },
      );
      return { status, out: stdout, err: stderr };
    };
    const started = podman(
      ...['run', '--detach', '--name', name, '--memory', '40m', '--network', 'none'],
      ...['--rootfs', rootfs, 'sleep', '1000'],
    );
    expect(started).toMatchObject({ status: 0 });
    const id = started.out.trim();
    try {
      const unit = `libpod-${id}.scope`;
      expect(show(unit, 'ActiveState', 'Slice', 'MemoryMax')).toEqual({
        ActiveState: 'active',
        Slice: 'machine.slice',
        MemoryMax: String(40 * MB),
      });
      expect(podman('exec', name, 'echo', 'inside').out).toBe('inside\n');
      expect(podman('stop', '--time', '0', name).status).toBe(0);
    } finally {
      podman('rm', '--force', '--time', '0', name);
    }
    expect(eventually(() => show(`libpod-${id}.scope`, 'LoadState')['LoadState'] === 'not-found')).toBe(true);
  });
});
