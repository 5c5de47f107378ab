import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, readFileSync, rmdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  closeQuietly,
  execve,
  exitCode,
  fork,
  getpid,
  kill,
  pipe,
  readCgroups,
  SIGNALS,
  waitpid,
} from '../../01-processes/index.ts';
import { createCgroup, forkInto, openCgroup } from '../index.ts';
import { joinTrees } from '../join.ts';
import { writeControl } from '../control-file.ts';

const random = (): string => `/ch03-${randomBytes(5).toString('hex')}`;

test('a process that has ended is named, and the cgroup can be removed', () => {
  const cgroup = createCgroup(random());
  try {
    const dead = fork(() => {});
    waitpid(dead);
    expect(() => cgroup.add(dead)).toThrow(`(process ${dead} has ended): ESRCH`);
  } finally {
    cgroup.remove();
  }
  expect(cgroup.exists()).toBe(false);
});

test('a process that one tree refuses is back in its old cgroup in all', () => {
  const cgroup = createCgroup(random());
  const pid = fork(() => execve('/bin/sleep', ['sleep', '1000'], []));
  try {
    const before = readCgroups(pid);
    const [[label, folder] = ['', '']] = Object.entries(cgroup.paths());
    const top = folder.slice(0, -cgroup.path.length);
    expect(() =>
      joinTrees(pid, [
        { folder, top, label },
        { folder: join(folder, 'nothing-here'), top, label: 'none' },
      ]),
    ).toThrow('ENOENT');
    expect(readCgroups(pid)).toEqual(before);
    expect(cgroup.pids()).toEqual([]);
  } finally {
    kill(pid, SIGNALS['SIGKILL']!);
    waitpid(pid);
    cgroup.remove();
  }
});

test('a cgroup that hands controllers down has no processes itself, and says so', () => {
  const cgroup = createCgroup(random());
  const folder = cgroup.paths()['']!; // of v2's tree
  const inner = join(folder, 'inner');
  mkdirSync(inner);
  const pid = fork(() => execve('/bin/sleep', ['sleep', '1000'], []));
  try {
    if (cgroup.layout !== 'v2') {
      // No controllers here to hand down. What v1 allows instead: processes in between.
      cgroup.add(pid);
      expect(openCgroup(cgroup.path).pids()).toEqual([pid]);
      return;
    }
    writeControl(join(folder, 'cgroup.subtree_control'), '+memory');
    expect(() => cgroup.add(pid)).toThrow('hands controllers down to those below it');
    writeControl(join(folder, 'cgroup.subtree_control'), '-memory');
    cgroup.add(pid);
    expect(() => writeControl(join(folder, 'cgroup.subtree_control'), '+memory')).toThrow('EBUSY');
  } finally {
    kill(pid, SIGNALS['SIGKILL']!);
    waitpid(pid);
    rmdirSync(inner);
    cgroup.remove();
  }
});

test('a child is born in a cgroup: in v2’s tree at once, in those of v1 when it has entered', () => {
  const cgroup = createCgroup(random());
  const { read, write } = pipe();
  try {
    const where = (): string => readFileSync('/proc/self/cgroup', 'utf8');
    const pid = forkInto(cgroup, (enter) => {
      const born = where();
      enter();
      writeSync(write, JSON.stringify({ pid: getpid(), born, entered: where() }));
    });
    closeSync(write);
    const said = JSON.parse(readFileSync(read, 'utf8')) as { pid: number; born: string; entered: string };
    expect(waitpid(pid)).toEqual({ kind: 'exited', code: 0 });
    expect(said.pid).toBe(pid); // and our own child, for we could wait for it
    expect(said.born).toMatch(new RegExp(`^0::${cgroup.path}$`, 'm'));
    const lines = said.entered.trim().split('\n');
    expect(lines.filter((line) => !line.endsWith(`:${cgroup.path}`))).toEqual([]);
    expect(readCgroups('self')!.some(({ path }) => path === cgroup.path)).toBe(false);
  } finally {
    closeQuietly(write);
    closeSync(read);
    cgroup.remove();
  }
});

test('nobody is born in a cgroup that is gone, nor stays where one tree refused', () => {
  const cgroup = createCgroup(random());
  const [first] = Object.entries(cgroup.paths()).find(([label]) => label !== '') ?? [];
  const paths = { ...cgroup.paths(), ...(first && { [first]: '/sys/fs/cgroup/nothing-here' }) };
  try {
    if (first)
      expect(exitCode(waitpid(forkInto({ ...cgroup, paths: () => paths }, (enter) => enter())))).toBe(1);
    expect(cgroup.pids()).toEqual([]);
  } finally {
    cgroup.remove();
  }
  expect(() => forkInto(cgroup, () => 0)).toThrow('ENOENT');
});
