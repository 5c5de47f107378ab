import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { execve, fork, getpid, isAlive, waitpid } from '../../01-processes/index.ts';
import {
  cpuPercent,
  createCgroup,
  readPressure,
  readProcessorTime,
  workingSet,
  type Cgroup,
} from '../index.ts';
import { until } from '../folders.ts';

const made: Cgroup[] = [];
const children: number[] = [];

function make(): Cgroup {
  const cgroup = createCgroup(`/ch03-${randomBytes(5).toString('hex')}`);
  made.push(cgroup);
  return cgroup;
}

function start(cgroup: Cgroup, script: string): number {
  const pid = fork(() => {
    cgroup.add(getpid());
    execve('/bin/sh', ['sh', '-c', script], ['PATH=/bin:/usr/bin']);
  });
  children.push(pid);
  return pid;
}

afterEach(() => {
  for (const cgroup of made.splice(0)) {
    cgroup.kill();
    cgroup.remove();
  }
  for (const pid of children.splice(0)) {
    if (isAlive(pid)) process.kill(pid, 'SIGKILL');
    waitpid(pid);
  }
});

test('CPU % is time used by time passed, in processors', () => {
  const cgroup = make();
  start(cgroup, 'while :; do :; done');
  const usage = (): number => cgroup.stats().cpu.usage;
  // The machine's clock is read first and last: so no more can have been used than passed by it, however long one reading waits for the other.
  const started = readProcessorTime();
  const before = { usage: usage(), ...started };
  expect(until(() => usage() > before.usage + 3e8, 100_000)).toBe(true);
  const now = { usage: usage(), ...readProcessorTime() };
  const percent = cpuPercent(before, now);
  expect(percent).toBeGreaterThan(0);
  // One loop has one processor at most; /proc/stat counts in hundredths of a second.
  expect(percent).toBeLessThan(140);
  expect(cpuPercent(now, now)).toBe(0);
});

test('file contents that nobody uses are in the usage and not in the working set', () => {
  const cgroup = make();
  // On a disk, not in /tmp: what is in a tmpfs can not be dropped.
  const file = join(import.meta.dirname, `.read-${randomBytes(4).toString('hex')}`);
  writeFileSync(file, '');
  try {
    const writer = start(cgroup, `exec dd if=/dev/zero of=${file} bs=1M count=16 conv=fsync 2>/dev/null`);
    waitpid(writer);
    children.pop();
    expect(statSync(file).size).toBe(16 << 20);
    // user-mode-linux's hostfs charges nobody for its files; every disk does.
    const charged = statfsSync(file).type === 0x00c0ffee ? 0 : 8 << 20;
    // The kernel adds up what each processor has counted a little later.
    expect(until(() => cgroup.stats().memory.inactiveFile >= charged, 30_000)).toBe(true);
    const { memory } = cgroup.stats();
    expect(workingSet(memory)).toBe(memory.usage - memory.inactiveFile);
  } finally {
    rmSync(file);
  }
});

test('pressure is told where the kernel keeps it', () => {
  const cgroup = make();
  const { pressure } = cgroup.stats();
  const machine = readPressure('/proc/pressure/cpu');
  if (!machine || !('' in cgroup.paths())) {
    expect(pressure).toEqual({});
    return;
  }
  expect(pressure.memory).toMatchObject({ some10: 0, full10: 0 });
  start(cgroup, 'for i in 1 2 3 4 5 6 7 8; do while :; do :; done & done; wait');
  expect(until(() => cgroup.stats().pressure.cpu!.some > 0, 60_000)).toBe(true);
  const total = /^some .*total=(\d+)$/m.exec(readFileSync('/proc/pressure/cpu', 'utf8'))![1];
  expect(readPressure('/proc/pressure/cpu')!.some).toBeGreaterThanOrEqual(Number(total));
});
