import { randomBytes, randomInt } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  execve,
  fork,
  isAlive,
  kill,
  pipe,
  readCgroups,
  SIGNALS,
  waitpid,
} from '../../01-processes/index.ts';
import { setgid, setgroups, setuid } from '../../02-namespaces/index.ts';
import {
  createSystemdCgroup,
  detectCgroups,
  isSystemdRunning,
  openSystemdCgroup,
  type Cgroup,
  type LinuxResources,
} from '../index.ts';
import { show } from './systemctl.ts';

// On a machine whose first process is systemd: the judge is systemctl.

const MB = 1024 * 1024;
const v2 = detectCgroups().layout === 'v2';
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

function sleeper(user = 0): number {
  const pid = fork(() => {
    setgid(user);
    setuid(user);
    execve('/bin/sleep', ['sleep', '1000'], []);
  });
  children.push(pid);
  return pid;
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
  // Of v1's trees systemd keeps some, and the others are joined beside it.
  expect([...new Set(readCgroups(pid)!.map(({ path }) => path))]).toEqual([cgroup.path]);
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
  const words = {
    CPUQuotaPerSecUSec: '260ms', // in whole hundredths of a processor
    TasksMax: String(tasks),
    DevicePolicy: 'strict',
    ...(v2
      ? { MemoryMax: String(limit), MemoryLow: String(10 * MB), CPUWeight: '20' }
      : { MemoryLimit: String(limit), CPUShares: '512' }),
  };
  expect(show(unit, ...Object.keys(words))).toEqual(words);
  expect(spawnSync('systemctl', ['daemon-reload']).status).toBe(0);
  const stats = cgroup.stats();
  expect(stats.memory.limit).toBe(limit);
  expect(stats.pids.limit).toBe(tasks);
  expect([25_500, 26_000]).toContain(stats.cpu.quota);
});

test('limits may change, and be taken away', () => {
  const { cgroup, unit } = make({ memory: { limit: 20 * MB }, pids: { limit: 5 } });
  cgroup.set({ memory: { limit: 30 * MB }, pids: { limit: -1 } });
  const memory = v2 ? 'MemoryMax' : 'MemoryLimit';
  expect(show(unit, memory, 'TasksMax')).toEqual({ [memory]: String(30 * MB), TasksMax: 'infinity' });
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

describe('a person’s own systemd', () => {
  const person = randomInt(20_000, 60_000);
  const runtime = `/run/user/${person}`;
  const unit = `ch03-person-${person}.service`;
  /** As that person: what comes of asking for a scope with a sleeping process, or why there is none. */
  const ask = (place: string, pid: number, resources: LinuxResources): string =>
    asked(person, { XDG_RUNTIME_DIR: runtime }, () => createSystemdCgroup(place, pid, resources).path);

  const databases = ['/etc/passwd', '/etc/group'].map((file) => ({ file, text: readFileSync(file, 'utf8') }));

  beforeAll(() => {
    for (const { file, text } of databases)
      writeFileSync(
        file,
        `${text}person:x:${person}:${file.endsWith('group') ? '' : `${person}::/:/bin/sh`}\n`,
      );
    mkdirSync('/run/user', { recursive: true });
    mkdirSync(runtime, { mode: 0o700 });
    chownSync(runtime, person, person);
    // What logging in does by way of user@.service.
    const manager = ['-E', `XDG_RUNTIME_DIR=${runtime}`, '/lib/systemd/systemd', '--user'];
    const as = [`--unit=${unit}`, `--uid=${person}`, `--gid=${person}`, '-p', 'Delegate=yes'];
    expect(spawnSync('systemd-run', ['--quiet', ...as, ...manager]).status).toBe(0);
  });
  afterAll(() => {
    spawnSync('systemctl', ['stop', unit]);
    rmSync(runtime, { recursive: true });
    for (const { file, text } of databases) writeFileSync(file, text);
  });

  test('gives a scope in its own part of the tree, with limits that hold', async () => {
    const pid = sleeper(person);
    if (!v2) {
      expect(ask('::x', pid, { pids: { limit: 9 } })).toMatch(
        /::x: this machine keeps its controllers in cgroup v1/,
      );
      return;
    }
    const said = (): string => spawnSync('systemctl', ['status', unit], { encoding: 'utf8' }).stdout;
    await expect
      .poll(() => existsSync(`${runtime}/systemd/private`) || said(), { timeout: 120_000, interval: 500 })
      .toBe(true);
    const own = `/system.slice/${unit}`;
    // It may move processes within its own part only: as a login's processes are.
    writeFileSync(`/sys/fs/cgroup${own}/init.scope/cgroup.procs`, String(pid));
    const limit = randomInt(20, 40) * MB;
    const name = randomBytes(5).toString('hex');
    const path = `${own}/user.slice/ch03-${name}.scope`;
    expect(ask(`user.slice:ch03:${name}`, pid, { memory: { limit }, pids: { limit: 9 } })).toBe(path);
    expect(readCgroups(pid)!.at(-1)!.path).toBe(path);
    expect(readFileSync(`/sys/fs/cgroup${path}/memory.max`, 'utf8')).toBe(`${limit}\n`);
    expect(readFileSync(`/sys/fs/cgroup${path}/pids.max`, 'utf8')).toBe('9\n');
  });

  test('that does not run is named, with what to do', () => {
    const other = person + 1;
    const said = asked(
      other,
      { XDG_RUNTIME_DIR: `/run/user/${other}` },
      () => createSystemdCgroup('::x', process.pid).path,
    );
    const why = v2
      ? `systemd does not answer at unix:path=/run/user/${other}/bus: does one run for user ${other}?`
      : 'in cgroup v1';
    expect(said).toContain(why);
  });
});

/** What a function returns, or the message of what it throws, in a child that is this user. */
function asked(user: number, environment: Record<string, string>, question: () => string): string {
  const { read, write } = pipe();
  const child = fork(() => {
    Object.assign(process.env, environment);
    setgroups([]);
    setgid(user);
    setuid(user);
    let said: string;
    try {
      said = question();
    } catch (error) {
      said = (error as Error).message;
    }
    writeSync(write, said);
  });
  closeSync(write);
  waitpid(child);
  const chunk = Buffer.alloc(4096);
  const said = chunk.toString('utf8', 0, readSync(read, chunk));
  closeSync(read);
  return said;
}
