import { readFileSync, readSync, writeSync, closeSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  execve,
  exitCode,
  fork,
  getpid,
  getppid,
  pipe,
  waitAsync,
  waitpid,
  kill,
  SIGNALS,
} from '../index.ts';

describe('fork', () => {
  test('makes a process of its own whose parent is this one', () => {
    const { read, write } = pipe();
    const pid = fork(() => {
      writeSync(write, `${getpid()} ${getppid()}`);
    });
    closeSync(write);
    const text = readText(read);
    expect(waitpid(pid)).toEqual({ kind: 'exited', code: 0 });
    expect(text).toBe(`${pid} ${process.pid}`);
  });

  test('the child has a copy of the memory, and can allocate', () => {
    let shared = 1;
    const pid = fork(() => {
      const many = Array.from({ length: 200_000 }, (_, i) => ({ i }));
      shared = many.length;
      return shared === 200_000 ? 7 : 1;
    });
    expect(waitpid(pid)).toEqual({ kind: 'exited', code: 7 });
    expect(shared).toBe(1);
  });

  test('a child that throws ends with status 1', () => {
    const pid = fork(() => {
      throw new Error('expected by a test');
    });
    expect(waitpid(pid)).toEqual({ kind: 'exited', code: 1 });
  });

  test('a child nobody has waited for is a zombie, and gone after the wait', () => {
    const pid = fork(() => 3);
    let stat = '';
    while (!/\) Z /.test(stat)) stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    expect(waitpid(pid)).toEqual({ kind: 'exited', code: 3 });
    expect(() => readFileSync(`/proc/${pid}/stat`)).toThrow('ENOENT');
    expect(() => waitpid(pid)).toThrow(`waitpid ${pid}: ECHILD (No child processes)`);
  });

  test('a killed child tells the signal, and the wait does not block the event loop', async () => {
    const pid = fork(() => {
      execve('/bin/sleep', ['sleep', '1000'], []);
    });
    let ticks = 0;
    const timer = setInterval(() => ticks++, 5);
    setTimeout(() => kill(pid, SIGNALS['SIGTERM']!), 50);
    const status = await waitAsync(pid);
    clearInterval(timer);
    expect(status).toEqual({ kind: 'signaled', signal: 15, coreDumped: false });
    expect(exitCode(status)).toBe(143);
    expect(ticks).toBeGreaterThan(0);
  });
});

describe('execve', () => {
  test('keeps stdio, takes the environment as given, and ignores no signal', () => {
    const { read, write } = pipe();
    const pid = fork(() => {
      // The program writes to the pipe by the name of its descriptor.
      execve(
        '/bin/sh',
        [
          'sh',
          '-c',
          `env >/proc/${getppid()}/fd/${write}; grep SigIgn /proc/self/status >/proc/${getppid()}/fd/${write}`,
        ],
        ['A=1'],
      );
    });
    expect(waitpid(pid)).toEqual({ kind: 'exited', code: 0 });
    closeSync(write);
    const text = readText(read);
    expect(text).toContain('A=1\n');
    expect(text).not.toContain('HOME=');
    const ignored = BigInt(`0x${/SigIgn:\s+(\w+)/.exec(text)![1]}`);
    expect(ignored & (1n << 12n)).toBe(0n); // bit 12: SIGPIPE
  });

  test('names the path and the reason when it fails', () => {
    expect(() => execve('/no/such/program', ['x'], [])).toThrow(
      'execve "/no/such/program": ENOENT (No such file or directory)',
    );
  });
});

function readText(fd: number): string {
  const chunk = Buffer.alloc(65536);
  let text = '';
  for (let n; (n = readSync(fd, chunk)) > 0;) text += chunk.toString('utf8', 0, n);
  closeSync(fd);
  return text;
}
