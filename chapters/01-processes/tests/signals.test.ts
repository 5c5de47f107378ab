import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, readSync, writeSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import {
  execve,
  fork,
  isAlive,
  kill,
  listPids,
  pipe,
  readCmdline,
  readStat,
  readStatus,
  setSubreaper,
  signalName,
  signalNumber,
  SIGNALS,
  signalsOf,
  waitAsync,
  waitpid,
} from '../index.ts';
import { until } from './until.ts';

const { SIGTERM, SIGKILL, SIGHUP, SIGUSR1 } = SIGNALS as Record<
  'SIGTERM' | 'SIGKILL' | 'SIGHUP' | 'SIGUSR1',
  number
>;

describe('signal names', () => {
  test('are taken as people write them', () => {
    for (const text of [9, '9', 'KILL', 'SIGKILL', 'sigkill', ' kill ']) expect(signalNumber(text)).toBe(9);
    expect([signalNumber('RTMIN'), signalNumber('SIGRTMIN+3'), signalNumber('RTMAX-1')]).toEqual([
      34, 37, 63,
    ]);
    expect([signalName(15), signalName(34), signalName(37)]).toEqual(['SIGTERM', 'SIGRTMIN', 'SIGRTMIN+3']);
  });

  test.each([0, -1, 65, 'FLY', '', '9.5', 'RTMIN+31', 'RTMAX+1', 'constructor'])(
    '%j is refused',
    (signal) => {
      expect(() => signalNumber(signal)).toThrow(
        /invalid signal .*: give a name \(SIGTERM, TERM\) or a number from 1 to 64/,
      );
    },
  );

  test('are found in the masks of status', () => {
    expect(signalsOf((1n << 0n) | (1n << 14n) | (1n << 33n))).toEqual(['SIGHUP', 'SIGTERM', 'SIGRTMIN']);
  });
});

describe('kill', () => {
  test.each([0, -1, NaN, 1.5])('never reaches for %d, which would be many processes or none', (pid) => {
    expect(() => kill(pid, SIGTERM)).toThrow(`kill: ${pid} is no process and no process group`);
  });

  test('of a process that is gone says so', () => {
    const pid = fork(() => 0);
    waitpid(pid);
    expect(isAlive(pid)).toBe(false);
    expect(() => kill(pid, SIGTERM)).toThrow(`kill ${pid} with SIGTERM: ESRCH (No such process)`);
  });
});

/** `sh -c SCRIPT` as PID 1 of a pid namespace, and its number out here. */
async function init(script: string): Promise<{ child: ChildProcess; pid: number; said: () => string }> {
  const child = spawn('unshare', ['--pid', '--fork', '--kill-child', '--mount-proc', 'sh', '-c', script], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  started.push(child);
  let text = '';
  child.stdout!.on('data', (data) => (text += data));
  while (!text.includes('ready')) await once(child.stdout!, 'data');
  const pid = listPids().find((one) => readStat(one)?.ppid === child.pid)!;
  return { child, pid, said: () => text };
}

const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
});

describe('PID 1 of a pid namespace', () => {
  test('is a process like any other out here, with a number for each namespace', async () => {
    const { pid } = await init('echo ready; sleep 1000');
    expect(readStatus(pid)!.nsPid).toEqual([pid, 1]);
  });

  test('does not get what it has not asked for from within, SIGKILL neither', async () => {
    const { child, said } = await init(
      'echo ready; kill -TERM $$; kill -KILL $$; kill -STOP $$; echo still here',
    );
    await once(child, 'close');
    expect(said()).toContain('still here');
  });

  test('gets what it has asked for', async () => {
    const { child, said } = await init(
      'trap "echo heard; exit 3" USR1; echo ready; kill -USR1 $$; while :; do sleep 0.05; done',
    );
    const [code] = (await once(child, 'close')) as [number];
    expect([said().trim().split('\n').pop(), code]).toEqual(['heard', 3]);
  });

  test('from outside too ignores SIGTERM, and dies of SIGKILL, with everyone in it', async () => {
    const { child, pid } = await init(
      'setsid sleep 1000 & sleep 1000 & echo ready; while :; do sleep 0.05; done',
    );
    // The two that stay: their arguments are there once they are `sleep`.
    const inside = until('both sleep', () => {
      const all = listPids().filter((one) => readStat(one)?.ppid === pid);
      const stay = all.filter((one) => readCmdline(one)?.join(' ') === 'sleep 1000');
      return stay.length === 2 ? stay : undefined;
    })!;
    for (const signal of [SIGTERM, SIGHUP, SIGUSR1]) kill(pid, signal);
    expect(readStatus(pid)!.signals.caught & (1n << 14n)).toBe(0n);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(readStat(pid)!.comm).toBe('sh');
    kill(pid, SIGKILL);
    await once(child, 'close');
    for (const one of [pid, ...inside]) expect(isAlive(one) && readStat(one)?.state !== 'Z').toBe(false);
  });

  test('takes in orphans, and those that it never waits for stay zombies', async () => {
    // The orphan ends once PID 1 is `sleep`: the shell waits for its children, and would have taken this one too.
    const orphan = 'sh -c "until grep -q sleep /proc/1/comm; do :; done" &';
    const { pid } = await init(`sh -c '${orphan}'; echo ready; exec sleep 1000`);
    const zombie = until('PID 1 has a zombie', () =>
      listPids().find((one) => readStat(one)?.ppid === pid && readStat(one)?.state === 'Z'),
    );
    expect(readStat(zombie!)!.comm).toBe('sh');
  });
});

describe('an orphan', () => {
  /** A child whose child outlives it; the number of that one, which the child has told. */
  function orphan(): number {
    const { read, write } = pipe();
    const child = fork(
      () => void writeSync(write, String(fork(() => execve('/bin/sleep', ['sleep', '1000'], [])))),
    );
    closeSync(write);
    waitpid(child);
    const said = Buffer.alloc(16);
    const pid = Number(said.toString('utf8', 0, readSync(read, said)));
    closeSync(read);
    return pid;
  }

  test('goes to whoever above has declared itself a subreaper, who can wait for it', async () => {
    setSubreaper();
    try {
      const pid = orphan();
      expect(readStat(pid)!.ppid).toBe(process.pid);
      kill(pid, SIGKILL);
      expect(await waitAsync(pid)).toEqual({ kind: 'signaled', signal: 9, coreDumped: false });
    } finally {
      setSubreaper(false);
    }
  });

  test('goes past everyone else', () => {
    const pid = orphan();
    expect(readStat(pid)!.ppid).not.toBe(process.pid);
    expect(() => waitpid(pid)).toThrow('ECHILD');
    kill(pid, SIGKILL);
  });
});
