import { randomBytes, randomInt } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import {
  execve,
  fork,
  getpid,
  isAlive,
  readStat,
  readStatus,
  waitpid,
  type WaitStatus,
} from '../../01-processes/index.ts';
import {
  createCgroup,
  detectCgroups,
  openCgroup,
  workingSet,
  type Cgroup,
  type LinuxResources,
} from '../index.ts';
import { until } from '../../01-processes/tests/until.ts';

const made: string[] = [];
const children: number[] = [];

function make(resources: LinuxResources = {}): Cgroup {
  const path = `/ch03-${randomBytes(5).toString('hex')}/limited`;
  made.push(path, path.slice(0, path.lastIndexOf('/')));
  return createCgroup(path, resources);
}

/** Starts a script in a cgroup; it joins before it becomes the script. */
function start(cgroup: Cgroup, script: string): number {
  const pid = fork(() => {
    cgroup.add(getpid());
    execve('/bin/sh', ['sh', '-c', `${script}`], ['PATH=/bin:/usr/bin']);
  });
  children.push(pid);
  until('it is the script, and so has joined', () => readStat(pid)!.comm !== readStat('self')!.comm);
  return pid;
}

function run(cgroup: Cgroup, script: string): WaitStatus {
  const status = waitpid(start(cgroup, script));
  children.pop();
  return status;
}

afterEach(() => {
  for (const path of made.splice(0)) {
    openCgroup(path).kill();
    openCgroup(path).remove();
  }
  for (const pid of children.splice(0)) {
    if (isAlive(pid)) process.kill(pid, 'SIGKILL');
    waitpid(pid);
  }
});

const MB = 1024 * 1024;

describe('memory', () => {
  /** Needs as many bytes at once. */
  const hog = (bytes: number): string => `exec dd if=/dev/zero of=/dev/null bs=${bytes} count=1 2>/dev/null`;

  test('beyond the limit is a process killed, and counted', () => {
    const free = make();
    expect(run(free, hog(64 * MB))).toEqual({ kind: 'exited', code: 0 });
    expect(free.stats().memory.oomKills).toBe(0);

    const limit = randomInt(12, 20) * MB;
    const limited = make({ memory: { limit } });
    limited.set({
      memory: { limit, ...(limited.stats().memory.swapLimit !== undefined && { swap: limit }) },
    });
    expect(run(limited, hog(64 * MB))).toEqual({ kind: 'signaled', signal: 9, coreDumped: false });
    const memory = limited.stats().memory;
    expect(memory.limit).toBe(limit);
    expect(memory.oomKills).toBe(1);
    expect(workingSet(memory)).toBeLessThanOrEqual(limit);
  });

  test('may be given and taken while processes run', () => {
    const cgroup = make({ memory: { limit: 20 * MB } });
    start(cgroup, 'exec sleep 1000');
    cgroup.set({ memory: { limit: 40 * MB } });
    expect(cgroup.stats().memory.limit).toBe(40 * MB);
    cgroup.set({ memory: { limit: 10 * MB } });
    expect(cgroup.stats().memory.limit).toBe(10 * MB);
    cgroup.set({ memory: { limit: -1 } });
    expect(cgroup.stats().memory.limit).toBe(Infinity);
  });
});

describe('processes', () => {
  // In a subshell each, because a shell ends when it can not fork.
  const forks = (n: number): string =>
    `i=0; while [ $i -lt ${n} ]; do (sleep 1000 & ) 2>/dev/null || exit 3; i=$((i+1)); done`;

  test('are as many as the limit allows, and the next fork fails', () => {
    const free = make();
    expect(run(free, forks(30))).toEqual({ kind: 'exited', code: 0 });
    expect(free.stats().pids.current).toBe(30);

    const limit = randomInt(6, 20);
    const limited = make({ pids: { limit } });
    expect(run(limited, forks(30))).not.toEqual({ kind: 'exited', code: 0 });
    const { current, limit: said, refused } = limited.stats().pids;
    expect(said).toBe(limit);
    expect(refused).toBeGreaterThan(0);
    expect(current).toBeLessThanOrEqual(limit);
    expect(current).toBeGreaterThan(limit - 4);
  });

  test('a limit of -1 is none', () => {
    const cgroup = make({ pids: { limit: 5 } });
    cgroup.set({ pids: { limit: -1 } });
    expect(cgroup.stats().pids.limit).toBe(Infinity);
  });
});

describe('processor time', () => {
  test('beyond the quota is waited for, and counted', () => {
    const free = make();
    const limited = make({ cpu: { quota: 10_000, period: 100_000 } });
    for (const cgroup of [free, limited]) {
      start(cgroup, 'while :; do :; done');
      until('it has used 20 ms', () => cgroup.stats().cpu.usage >= 20e6);
    }
    until('it was throttled twice', () => limited.stats().cpu.throttling.throttledPeriods >= 2);
    // First what was used, then in how many periods: the other way round more may be used meanwhile.
    const { usage } = limited.stats().cpu;
    const { throttling } = limited.stats().cpu;
    expect(throttling.periods).toBeGreaterThanOrEqual(throttling.throttledPeriods);
    expect(throttling.throttledTime).toBeGreaterThan(0);
    // The kernel stops it at the next tick, which comes late where the machine itself has no processor, and makes later periods pay for it. What
    // has no quota uses ten times as much.
    expect(usage).toBeLessThan(2 * 10e6 * (throttling.periods + 2));
    expect(free.stats().cpu.throttling.throttledPeriods).toBe(0);
  });

  test('quota and period may change in either direction', () => {
    const cgroup = make({ cpu: { quota: 50_000, period: 100_000 } });
    const tighter = createCgroup(`${cgroup.path}/inner`, { cpu: { quota: 50_000, period: 100_000 } });
    tighter.set({ cpu: { quota: 9_000, period: 20_000 } });
    tighter.set({ cpu: { quota: 100_000, period: 200_000 } });
    const tooMuch = (): void => tighter.set({ cpu: { quota: 200_000, period: 200_000 } });
    // v1 refuses what the parent has not got; v2 takes it, and the parent's limit holds all the same.
    if (tighter.layout === 'v2') tooMuch();
    else expect(tooMuch).toThrow("cpu.quota was refused: it may go beyond the parent's");
    tighter.remove();
  });

  test('a cpuset names the processors, or the lack of cpusets is named', () => {
    const cgroup = make();
    const wanted = { cpu: { cpus: '0' } };
    if (!detectCgroups().controllers.includes('cpuset')) {
      expect(() => cgroup.set(wanted)).toThrow('cpu.cpus needs the cpuset controller');
      return;
    }
    cgroup.set(wanted);
    const pid = start(cgroup, 'exec sleep 1000');
    expect(readStatus(pid)!.lines['Cpus_allowed_list']).toBe('0');
  });
});

describe('devices', () => {
  /** Opens it for reading, or for writing. */
  const reads = (device: string): string => `exec 2>&-; : <${device}`;
  const writes = (device: string): string => `exec 2>&-; : >${device}`;

  const refused = { kind: 'exited', code: 2 };

  test('are those of the rules, and may change later', () => {
    const cgroup = make();
    expect(run(cgroup, reads('/dev/zero'))).toEqual({ kind: 'exited', code: 0 });
    cgroup.set({ devices: [{ allow: false }, { allow: true, type: 'c', major: 1, minor: 3 }] });
    expect(run(cgroup, reads('/dev/null'))).toEqual({ kind: 'exited', code: 0 });
    expect(run(cgroup, reads('/dev/zero'))).toEqual(refused);
    expect(run(cgroup, writes('/dev/null'))).toEqual({ kind: 'exited', code: 0 });
    cgroup.set({ devices: [{ allow: false }, { allow: true, type: 'c', major: 1, access: 'r' }] });
    expect(run(cgroup, reads('/dev/zero'))).toEqual({ kind: 'exited', code: 0 });
    expect(run(cgroup, writes('/dev/null'))).toEqual(refused);
    cgroup.set({ devices: [{ allow: true }, { allow: false, type: 'c', major: 1, minor: 5 }] });
    expect(run(cgroup, reads('/dev/zero'))).toEqual(refused);
    expect(run(cgroup, writes('/dev/null'))).toEqual({ kind: 'exited', code: 0 });
  });
});

describe('a controller that is not there', () => {
  test('is named, with the limit that asks for it, and nothing else is set', () => {
    const cgroup = make({ pids: { limit: 9 } });
    expect(() => cgroup.set({ pids: { limit: 8 }, rdma: { mlx5_0: { hcaHandles: 1 } } })).toThrow(/rdma/);
    expect(cgroup.stats().pids.limit).toBe(9);
  });
});
