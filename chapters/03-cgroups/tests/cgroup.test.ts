import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { execve, fork, getpid, isAlive, readCgroups, waitpid } from '../../01-processes/index.ts';
import { createCgroup, openCgroup, type Cgroup } from '../index.ts';
import { until } from '../../01-processes/tests/until.ts';

const random = (): string => `/ch03-${randomBytes(5).toString('hex')}`;
const made: string[] = [];
const children: number[] = [];

/** A cgroup of a random name, taken away after the test with everybody in it. */
function make(...args: Parameters<typeof createCgroup> | []): Cgroup {
  const [path = random(), resources] = args;
  made.push(path);
  return createCgroup(path, resources);
}

/** A process that sleeps, or runs a script. */
function start(script = 'exec sleep 1000', before: () => void = () => {}): number {
  const pid = fork(() => {
    before();
    execve('/bin/sh', ['sh', '-c', script], ['PATH=/bin:/usr/bin']);
  });
  children.push(pid);
  return pid;
}

afterEach(() => {
  for (const path of made.splice(0)) {
    const cgroup = openCgroup(path);
    cgroup.kill();
    cgroup.remove();
    expect(cgroup.exists()).toBe(false);
  }
  for (const pid of children.splice(0)) {
    if (isAlive(pid)) process.kill(pid, 'SIGKILL');
    waitpid(pid);
  }
});

describe('a cgroup', () => {
  test('is made in every tree, and removed from every tree with those below it', () => {
    const cgroup = make();
    const folders = Object.values(cgroup.paths());
    expect(folders.length).toBeGreaterThan(0);
    for (const folder of folders) expect(existsSync(join(folder, 'cgroup.procs')), folder).toBe(true);
    make(`${cgroup.path}/below/further`);
    cgroup.remove();
    for (const folder of folders) expect(existsSync(folder), folder).toBe(false);
    expect(cgroup.exists()).toBe(false);
    cgroup.remove(); // once more does nothing
  });

  test('holds who is added to it, and whom that process forks', () => {
    const cgroup = make();
    expect(cgroup.pids()).toEqual([]);
    const pid = start('sleep 1000 & wait', () => cgroup.add(getpid()));
    until('both are in it', () => cgroup.pids().length === 2);
    expect(cgroup.pids()).toContain(pid);
    const own = readCgroups('self')!;
    for (const { hierarchy, controllers, path } of readCgroups(pid)!)
      if (controllers.join() in cgroup.paths()) expect(path).toBe(cgroup.path);
      else expect(path).toBe(own.find((c) => c.hierarchy === hierarchy)!.path);
  });

  test.each(['/a/../b', '..', '/', '', '/x/./y', '/a\nb', `/${'n'.repeat(256)}`])(
    'a path such as %j is refused before anything is made',
    (path) => {
      expect(() => createCgroup(path)).toThrow('invalid cgroup path');
      expect(() => openCgroup(path)).toThrow('invalid cgroup path');
    },
  );

  test('a limit that is refused leaves no cgroup behind', () => {
    const path = random();
    const parents = random();
    expect(() => createCgroup(`${parents}/x`, { pids: { limit: 1.5 } })).toThrow('invalid pids.limit 1.5');
    expect(openCgroup(parents).exists()).toBe(false);
    // The first limit is set by then; the second, of processes on this machine, is more than the kernel can count.
    const tooMany = { memory: { limit: 1 << 24 }, pids: { limit: 2 ** 40 } };
    expect(() => createCgroup(path, tooMany)).toThrow('pids.limit was refused');
    expect(openCgroup(path).exists()).toBe(false);
  });
});

describe('frozen', () => {
  test('means that nobody runs, until thawed', () => {
    const cgroup = make();
    const folder = mkdtempSync(join(tmpdir(), 'ch03-'));
    try {
      start(`i=0; while :; do i=$((i+1)); echo $i >${folder}/count; done`, () => cgroup.add(getpid()));
      const count = (): string => readFileSync(`${folder}/count`, 'utf8');
      until('it counts', () => existsSync(`${folder}/count`));
      cgroup.freeze();
      expect(cgroup.frozen()).toBe(true);
      const then = count();
      pause(100);
      expect(count()).toBe(then);
      cgroup.thaw();
      expect(cgroup.frozen()).toBe(false);
      until('it counts on', () => count() !== then);
    } finally {
      cgroup.kill();
      rmSync(folder, { recursive: true });
    }
  });

  test('is no shelter from being killed', () => {
    const cgroup = make();
    const pid = start('sleep 1000 & wait', () => cgroup.add(getpid()));
    until('both are in it', () => cgroup.pids().length === 2);
    cgroup.freeze();
    cgroup.kill();
    expect(cgroup.pids()).toEqual([]);
    expect(waitpid(pid)).toEqual({ kind: 'signaled', signal: 9, coreDumped: false });
    children.pop();
  });

  test('a frozen cgroup takes no new container', () => {
    const cgroup = make();
    cgroup.freeze();
    expect(() => createCgroup(cgroup.path)).toThrow('is there already, and frozen');
    expect(cgroup.exists()).toBe(true);
    cgroup.thaw();
  });
});

describe('killing a cgroup', () => {
  test('ends those that fork as fast as they can, also in cgroups below', () => {
    const cgroup = make();
    const below = make(`${cgroup.path}/below`);
    const bomb = 'while :; do (sleep 1000 &) ; sleep 0.01; done';
    start(bomb, () => cgroup.add(getpid()));
    start(bomb, () => below.add(getpid()));
    until('there are 12, and some of each', () => cgroup.pids().length >= 12 && below.pids().length >= 4);
    cgroup.kill();
    expect(cgroup.pids()).toEqual([]);
    cgroup.remove();
    expect(below.exists()).toBe(false);
  });

  test('a cgroup with processes is not removed', () => {
    const cgroup = make();
    start(undefined, () => cgroup.add(getpid()));
    until('it has joined', () => cgroup.pids().length === 1);
    expect(() => cgroup.remove()).toThrow('EBUSY');
    expect(cgroup.pids()).toHaveLength(1);
  });
});

function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}
