import {
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { execFileSync } from 'node:child_process';
import { Worker } from 'node:worker_threads';
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
  pipe,
  readCgroups,
  readCmdline,
  readEnviron,
  readExe,
  readThreads,
  readFds,
  readLimits,
  readMountinfo,
  readRootAndCwd,
  readSmapsRollup,
  readStat,
  isRunning,
  readStatus,
  rootOf,
  SIGNALS,
  waitpid,
} from '../index.ts';
import { until } from './until.ts';

/**
 * Runs `look` at a program that has come to the point where it sleeps or has stopped itself, and ends it. Its name alone says too little: the kernel
 * gives a program its name before it gives it arguments.
 */
function withProgram<T>(argv: string[], env: string[], look: (pid: number) => T): T {
  const pid = fork(() => execve(argv[0]!, argv, env));
  try {
    until(`${argv.join(' ')} sleeps or has stopped`, () => {
      const { comm, state } = readStat(pid)!;
      if (state === 'Z') throw new Error(`${argv.join(' ')} ended early`);
      return state === 'T' || (comm.startsWith('sleep') && state === 'S' && readCmdline(pid)?.length);
    });
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
    until('it has its name, and waits', () => {
      const { comm, state } = readStat(pid)!;
      return comm !== readStat('self')!.comm && state === 'S';
    });
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
      readThreads,
      readExe,
      namespacesOf,
    ])
      expect(read(pid), read.name).toBeUndefined();
  });

  test('a zombie keeps its name, and has no arguments, no memory and no files', () => {
    expect(isRunning(getpid())).toBe(true);
    const pid = fork(() => 0);
    until('it is a zombie', () => readStat(pid)!.state === 'Z');
    expect(isRunning(pid)).toBe(false);
    expect(readCmdline(pid)).toEqual([]);
    expect(readStatus(pid)).toMatchObject({ state: 'Z', rss: 0 });
    expect(readSmapsRollup(pid)).toBeUndefined();
    expect(readExe(pid)).toBeUndefined();
    expect(readMountinfo(pid)).toBeUndefined();
    waitpid(pid);
    expect(isRunning(pid)).toBe(false);
  });

  test('a thread of the kernel has neither program nor memory nor arguments, and no parent but another', () => {
    const kernel = listPids().filter((pid) => readStat(pid)?.ppid === 2);
    if (kernel.length === 0) expect(readStat(1)!.comm).not.toBe('kthreadd'); // a pid namespace shows none
    for (const pid of kernel.slice(0, 5)) {
      const seen = [readCmdline(pid), readExe(pid), readSmapsRollup(pid), readStatus(pid)];
      if (!readStat(pid)) continue; // workers that have nothing to do end
      expect(seen).toEqual([
        [],
        undefined,
        undefined,
        expect.objectContaining({ rss: 0, uid: expect.objectContaining({ effective: 0 }) }),
      ]);
    }
  });

  test('threads are listed with names of their own, beside the one that is the process', async () => {
    const worker = new Worker('setInterval(() => {}, 1e6)', { eval: true });
    await new Promise((resolve) => worker.once('online', resolve));
    // Node may be starting others at this moment, for its files.
    const threads = until('two readings agree', () => {
      const all = readThreads('self')!;
      return all.length === readStat('self')!.threads ? all : undefined;
    })!;
    expect(threads[0]!.tid).toBe(getpid());
    expect(threads.length).toBeGreaterThan(1);
    await worker.terminate();
  });

  test('processes that end at any moment while they are read are whole or not there', () => {
    const readers = [readStat, readStatus, readCmdline, readEnviron, readCgroups, readMountinfo, readFds];
    const more = [readLimits, readRootAndCwd, readSmapsRollup, readThreads, readExe, namespacesOf];
    const end = Date.now() + 1500;
    for (let round = 0; Date.now() < end; round++) {
      const pid = fork(() => {
        for (let i = 0; i < round % 40; i++) getpid(); // ends a little later each time
      });
      for (let alive = true; alive;) {
        for (const read of [...readers, ...more]) read(pid);
        alive = readStat(pid)?.state !== 'Z';
      }
      // The other way to go: reaped by somebody else while we look.
      const reaper = fork(() => void execve('/bin/sh', ['sh', '-c', '(exit 0) & (exit 0) & wait'], []));
      while (readStat(reaper)!.state !== 'Z')
        for (const node of listPids().filter((one) => one > reaper))
          for (const read of [...readers, ...more]) read(node);
      waitpid(pid);
      waitpid(reaper);
    }
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
        expect(readFds(pid)).toContainEqual({ fd: 7, target: `${dir}/f`, kind: 'path', deleted: false });
        expect(readRootAndCwd(pid)).toEqual({ root: '/', cwd: dir });
        expect(readFileSync(`${rootOf(pid)}${dir}/f`, 'utf8')).toBe('seen through another root');
      });
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  test('pipes and sockets are known by their inode, and both ends of a pipe have the same one', () => {
    const ends = pipe();
    withProgram(['/bin/sh', '-c', `exec 7</proc/${getpid()}/fd/${ends.read}; exec sleep 1000`], [], (pid) => {
      const of = (fd: number) => readFds('self')!.find((file) => file.fd === fd)!;
      expect(of(ends.read)).toMatchObject({ kind: 'pipe', inode: expect.any(Number) });
      expect(of(ends.read).inode).toBe(of(ends.write).inode);
      expect(readFds(pid)!.find(({ fd }) => fd === 7)).toMatchObject({ inode: of(ends.read).inode });
    });
    for (const fd of [ends.read, ends.write]) closeSync(fd);
    const kinds = readFds('self')!.map(({ kind }) => kind);
    expect(kinds).toContain('anon'); // Node's epoll and eventfd
  });

  test('a file without a name is told from one that is called so', () => {
    const dir = mkdtempSync(join(tmpdir(), 'ch01-deleted-'));
    try {
      const gone = openSync(`${dir}/gone`, 'w');
      rmSync(`${dir}/gone`);
      const called = openSync(`${dir}/here (deleted)`, 'w');
      const of = (fd: number) => readFds('self')!.find((file) => file.fd === fd);
      expect(of(gone)).toEqual({ fd: gone, target: `${dir}/gone (deleted)`, kind: 'path', deleted: true });
      expect(of(called)).toMatchObject({ target: `${dir}/here (deleted)`, deleted: false });
      closeSync(gone);
      closeSync(called);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  test('a program that was removed, or replaced by a new version, still runs, and says so', () => {
    const dir = mkdtempSync(join(tmpdir(), 'ch01-exe-'));
    try {
      for (const [name, after] of [
        ['sleep', () => rmSync(`${dir}/sleep`)],
        ['sleep', () => renameSync(`${dir}/new`, `${dir}/sleep`)],
      ] as const) {
        copyFileSync('/bin/sleep', `${dir}/${name}`);
        copyFileSync('/bin/sleep', `${dir}/new`);
        withProgram([`${dir}/${name}`, '1000'], [], (pid) => {
          expect(readExe(pid)).toEqual({ path: `${dir}/sleep`, deleted: false });
          after();
          expect(readExe(pid)).toEqual({ path: `${dir}/sleep`, deleted: true });
          // The magic link still leads to the bytes that run.
          expect(readFileSync(`/proc/${pid}/exe`).equals(readFileSync('/bin/sleep'))).toBe(true);
        });
      }
      copyFileSync('/bin/sleep', `${dir}/sleep (deleted)`);
      withProgram([`${dir}/sleep (deleted)`, '1000'], [], (pid) =>
        expect(readExe(pid)).toEqual({ path: `${dir}/sleep (deleted)`, deleted: false }),
      );
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

  test('a mount whose path and source hold every escaped character is read back as it was made', () => {
    const dir = mkdtempSync(join(tmpdir(), 'ch01-mount-'));
    const odd = `${dir}/a b\tc\nd\\e#f`;
    mkdirSync(odd);
    execFileSync('mount', ['-t', 'tmpfs', 'odd source', odd]);
    try {
      const mounted = readMountinfo()!.filter(({ mountPoint }) => mountPoint === odd);
      expect(mounted).toHaveLength(1);
      expect(mounted[0]).toMatchObject({ source: 'odd source', type: 'tmpfs', root: '/' });
    } finally {
      execFileSync('umount', [odd]);
      rmSync(dir, { recursive: true });
    }
  });

  test('finds /proc itself', () => {
    expect(readMountinfo()).toContainEqual(expect.objectContaining({ mountPoint: '/proc', type: 'proc' }));
  });
});
