import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  execve,
  fork,
  getpid,
  kill,
  listPids,
  namespacesOf,
  parseMountinfoLine,
  parseStat,
  readCgroups,
  readCmdline,
  readEnviron,
  readFds,
  readLimits,
  readMountinfo,
  readRootAndCwd,
  readSmapsRollup,
  readStat,
  readStatus,
  rootOf,
  SIGNALS,
  waitpid,
} from '../index.ts';

/** Runs `look` at a program that has come to the point where it sleeps or has stopped itself, and ends it. */
function withProgram<T>(argv: string[], env: string[], look: (pid: number) => T): T {
  const pid = fork(() => execve(argv[0]!, argv, env));
  try {
    for (let stat; (stat = readStat(pid)!), stat.comm !== 'sleep' && stat.state !== 'T';)
      if (stat.state === 'Z') throw new Error(`${argv.join(' ')} ended early`);
    return look(pid);
  } finally {
    kill(pid, SIGNALS['SIGKILL']!);
    waitpid(pid);
  }
}

/** A forked child that has given itself a name, and waits. */
function withName<T>(name: string, look: (pid: number) => T): T {
  const pid = fork(() => {
    writeFileSync('/proc/self/comm', name);
    for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
  });
  try {
    while (readStat(pid)?.comm === readStat('self')?.comm);
    return look(pid);
  } finally {
    kill(pid, SIGNALS['SIGKILL']!);
    waitpid(pid);
  }
}

/** The id of a process that is gone: it was this one's child, and has been waited for. */
function vanished(): number {
  const pid = fork(() => 0);
  waitpid(pid);
  return pid;
}

describe('the files of a process', () => {
  test.each(['a) R 1 (b', ') S 0 0 0', 'two\nlines', 'back\\n slash', '((('])(
    'a process may be called %j, and its numbers are still read rightly',
    (name) => {
      withName(name, (pid) => {
        const stat = readStat(pid)!;
        expect(stat).toMatchObject({ pid, comm: name, ppid: process.pid });
        expect(['R', 'S']).toContain(stat.state);
        expect(readStatus(pid)).toMatchObject({ name, pid, ppid: process.pid });
      });
    },
  );

  test('fields of stat are found by the number that the manual gives them', () => {
    const line = `9 (x) S ${Array.from({ length: 49 }, (_, i) => i + 4).join(' ')}\n`;
    expect(parseStat(line)).toEqual({
      pid: 9,
      comm: 'x',
      state: 'S',
      ppid: 4,
      pgrp: 5,
      session: 6,
      ttyNr: 7,
      tpgid: 8,
      utime: 14,
      stime: 15,
      nice: 19,
      threads: 20,
      startTime: 22,
      vsize: 23,
      rss: 24,
    });
  });

  test('arguments and environment are told apart exactly, also empty ones', () => {
    const env = ['A=1', 'B=two words', 'C='];
    withProgram(['/usr/bin/env', 'sleep', '1000'], env, (pid) => {
      expect(readCmdline(pid)).toEqual(['sleep', '1000']);
      expect(readEnviron(pid)).toEqual(env);
    });
    const stops = ['/bin/sh', '-c', 'kill -STOP $$', 'two words', ''];
    withProgram(stops, [], (pid) => {
      expect(readCmdline(pid)).toEqual(stops);
      expect(readEnviron(pid)).toEqual([]);
    });
  });

  test('a process that is gone is an answer, not an error', () => {
    const pid = vanished();
    for (const read of [
      readStat,
      readStatus,
      readCmdline,
      readEnviron,
      readCgroups,
      readMountinfo,
      readFds,
      readLimits,
      readRootAndCwd,
      readSmapsRollup,
      namespacesOf,
    ])
      expect(read(pid), read.name).toBeUndefined();
  });

  test('a zombie keeps its name, and has no arguments, no memory and no files', () => {
    const pid = fork(() => 0);
    while (readStat(pid)!.state !== 'Z');
    expect(readCmdline(pid)).toEqual([]);
    expect(readStatus(pid)).toMatchObject({ state: 'Z', rss: 0 });
    expect(readSmapsRollup(pid) ?? {}).toEqual({});
    waitpid(pid);
  });

  test('the namespaces of a child are those of its parent', () => {
    withName('child', (pid) => {
      expect(namespacesOf(pid)).toEqual(namespacesOf('self'));
      expect(namespacesOf(pid)!['mnt']).toMatch(/^mnt:\[\d+\]$/);
    });
  });

  test('open files, root and working directory are followed', () => {
    const dir = mkdtempSync(join(tmpdir(), 'ch01-proc-'));
    try {
      writeFileSync(`${dir}/f`, 'seen through another root');
      withProgram(['/bin/sh', '-c', `cd ${dir}; exec 7<f; exec sleep 1000`], [], (pid) => {
        expect(readFds(pid)).toContainEqual({ fd: 7, target: `${dir}/f` });
        expect(readRootAndCwd(pid)).toEqual({ root: '/', cwd: dir });
        expect(readFileSync(`${rootOf(pid)}${dir}/f`, 'utf8')).toBe('seen through another root');
      });
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  test('limits are numbers, unlimited is Infinity', () => {
    withProgram(['/bin/sh', '-c', 'ulimit -Sn 123; ulimit -c 0; exec sleep 1000'], [], (pid) => {
      const limits = readLimits(pid)!;
      expect(limits['open files']).toMatchObject({ soft: 123, unit: 'files' });
      expect(limits['core file size']).toEqual({ soft: 0, hard: 0, unit: 'bytes' });
      expect(limits['cpu time']!.soft).toBe(Infinity);
      expect(limits['nice priority']!.unit).toBe('');
    });
  });

  test('memory is counted in bytes, and shared pages only by their share', () => {
    const memory = readSmapsRollup('self')!;
    expect(memory['Rss']).toBeGreaterThan(10 * 1024 * 1024);
    expect(memory['Pss']).toBeLessThanOrEqual(memory['Rss']!);
  });

  test('lists processes in order, this one among them', () => {
    const pids = listPids();
    expect(pids).toContain(getpid());
    expect(pids).toEqual([...pids].sort((a, b) => a - b));
  });

  test('cgroups are told as the kernel writes them', () => {
    const raw = readFileSync('/proc/self/cgroup', 'utf8').trimEnd().split('\n');
    const said = readCgroups('self')!.map((c) => `${c.hierarchy}:${c.controllers.join(',')}:${c.path}`);
    expect(said).toEqual(raw);
  });
});

describe('mountinfo', () => {
  test('spaces in paths are unescaped, and optional fields end at the dash', () => {
    expect(
      parseMountinfoLine(
        String.raw`36 35 98:0 /m\0401 /mnt/a\040b\134c rw,noatime shared:1 master:2 - ext3 /dev/root rw,errors=continue`,
      ),
    ).toEqual({
      id: 36,
      parent: 35,
      device: '98:0',
      root: '/m 1',
      mountPoint: '/mnt/a b\\c',
      options: ['rw', 'noatime'],
      propagation: ['shared:1', 'master:2'],
      type: 'ext3',
      source: '/dev/root',
      superOptions: ['rw', 'errors=continue'],
    });
    expect(parseMountinfoLine('1 0 0:1 / / rw - rootfs - rw').propagation).toEqual([]);
  });

  test('finds /proc itself', () => {
    expect(readMountinfo()).toContainEqual(expect.objectContaining({ mountPoint: '/proc', type: 'proc' }));
  });
});
