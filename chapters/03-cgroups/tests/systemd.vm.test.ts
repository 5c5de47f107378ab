import { randomBytes, randomInt } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { execve, fork, isAlive, kill, readCgroups, SIGNALS, waitpid } from '../../01-processes/index.ts';
import { createSystemdCgroup, isSystemdRunning, openSystemdCgroup, type Cgroup } from '../index.ts';

// On a machine whose first process is systemd: the judge is systemctl.

const MB = 1024 * 1024;
const children: number[] = [];
const made: string[] = [];

/** A sleeping process, in a scope of a random name. */
function make(resources: Parameters<typeof createSystemdCgroup>[2] = {}): {
  cgroup: Cgroup;
  pid: number;
  unit: string;
} {
  const name = randomBytes(5).toString('hex');
  const place = `system.slice:ch03:${name}`;
  const pid = sleeper();
  made.push(place);
  return { cgroup: createSystemdCgroup(place, pid, resources), pid, unit: `ch03-${name}.scope` };
}

function sleeper(): number {
  const pid = fork(() => execve('/bin/sleep', ['sleep', '1000'], []));
  children.push(pid);
  return pid;
}

/** What systemd says of a unit. */
function show(unit: string, ...properties: string[]): Record<string, string> {
  const { stdout } = spawnSync('systemctl', ['show', unit, '-p', properties.join()], { encoding: 'utf8' });
  return Object.fromEntries(
    stdout
      .trim()
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}

afterEach(() => {
  for (const place of made.splice(0)) {
    const cgroup = openSystemdCgroup(place);
    cgroup.kill();
    cgroup.remove();
    expect(cgroup.exists()).toBe(false);
  }
  for (const pid of children.splice(0)) {
    if (isAlive(pid)) kill(pid, SIGNALS['SIGKILL']!);
    waitpid(pid);
  }
});

test('this machine is run by systemd', () => {
  expect(readFileSync('/proc/1/comm', 'utf8')).toBe('systemd\n');
  expect(isSystemdRunning()).toBe(true);
});

test('a container is a scope that systemd knows, and its process is in it', () => {
  const { cgroup, pid, unit } = make();
  expect(show(unit, 'ActiveState', 'Slice', 'Delegate', 'ControlGroup', 'DefaultDependencies')).toEqual({
    ActiveState: 'active',
    Slice: 'system.slice',
    Delegate: 'yes',
    ControlGroup: cgroup.path,
    DefaultDependencies: 'no',
  });
  expect(cgroup.driver).toBe('systemd');
  expect(readCgroups(pid)!.at(-1)!.path).toBe(cgroup.path);
  expect(cgroup.pids()).toEqual([pid]);
});

test('limits are known to systemd and to the kernel, and stay when systemd looks again', () => {
  const limit = randomInt(20, 40) * MB;
  const tasks = randomInt(10, 99);
  const { cgroup, unit } = make({
    memory: { limit, reservation: 10 * MB },
    cpu: { shares: 512, quota: 25_500, period: 100_000 },
    pids: { limit: tasks },
    devices: [{ allow: false }, { allow: true, type: 'c', major: 1, minor: 3 }],
  });
  expect(
    show(unit, 'MemoryMax', 'MemoryLow', 'CPUWeight', 'CPUQuotaPerSecUSec', 'TasksMax', 'DevicePolicy'),
  ).toEqual({
    MemoryMax: String(limit),
    MemoryLow: String(10 * MB),
    CPUWeight: '20',
    CPUQuotaPerSecUSec: '260ms', // in whole hundredths of a processor
    TasksMax: String(tasks),
    DevicePolicy: 'strict',
  });
  expect(spawnSync('systemctl', ['daemon-reload']).status).toBe(0);
  const stats = cgroup.stats();
  expect(stats.memory.limit).toBe(limit);
  expect(stats.pids.limit).toBe(tasks);
  expect([25_500, 26_000]).toContain(stats.cpu.quota);
});

test('limits may change, and be taken away', () => {
  const { cgroup, unit } = make({ memory: { limit: 20 * MB }, pids: { limit: 5 } });
  cgroup.set({ memory: { limit: 30 * MB }, pids: { limit: -1 } });
  expect(show(unit, 'MemoryMax', 'TasksMax')).toEqual({ MemoryMax: String(30 * MB), TasksMax: 'infinity' });
  expect(cgroup.stats().memory.limit).toBe(30 * MB);
  expect(cgroup.stats().pids.limit).toBe(Infinity);
});

test('a scope with processes is not removed; when they have ended it is, and its name is free', () => {
  const { cgroup, pid, unit } = make();
  expect(() => cgroup.remove()).toThrow('EBUSY');
  expect(isAlive(pid)).toBe(true);
  cgroup.kill();
  cgroup.remove();
  expect(show(unit, 'LoadState', 'ActiveState')).toEqual({ LoadState: 'not-found', ActiveState: 'inactive' });
  cgroup.remove(); // once more does nothing
  const again = sleeper();
  createSystemdCgroup(made[0]!, again);
  expect(cgroup.pids()).toEqual([again]);
});

test('a name that is taken, and a process that is gone, are refused, and nothing is left', () => {
  const { unit, pid, cgroup } = make();
  const other = sleeper();
  expect(() => createSystemdCgroup(made[0]!, other)).toThrow(/UnitExists|already/);
  expect(cgroup.pids()).toEqual([pid]);
  const dead = fork(() => {});
  waitpid(dead);
  const place = `system.slice:ch03:${randomBytes(5).toString('hex')}`;
  expect(() => createSystemdCgroup(place, dead)).toThrow();
  expect(openSystemdCgroup(place).exists()).toBe(false);
  expect(show(unit, 'ActiveState')).toEqual({ ActiveState: 'active' });
});

test('a limit that the kernel refuses leaves no unit', () => {
  const place = `system.slice:ch03:${randomBytes(5).toString('hex')}`;
  const pid = sleeper();
  expect(() => createSystemdCgroup(place, pid, { pids: { limit: 2 ** 40 } })).toThrow(
    'pids.limit was refused',
  );
  const cgroup = openSystemdCgroup(place);
  expect(cgroup.exists()).toBe(false);
  expect(existsSync(`/sys/fs/cgroup${cgroup.path}`)).toBe(false);
});
