import { closeSync, mkdtempSync, readFileSync, readSync, rmSync, writeSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
  makeExecutable,
  readStat,
  SIGNALS,
  WCONTINUED,
  WNOHANG,
  WUNTRACED,
} from '../index.ts';
import { until } from './until.ts';

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

  test('refuses to run where V8 has helper threads, and says how to start the program', () => {
    const script = `import { fork } from '${join(import.meta.dirname, '..', 'index.ts')}';
      try { fork(() => 0); } catch (error) { console.log(error.message); }`;
    const said = execFileSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      encoding: 'utf8',
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    expect(said).toBe('fork: this process has helper threads: start it as `node --single-threaded`\n');
  });

  test('refuses in a worker thread: the child would be a copy of that thread alone', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'fork-'));
    try {
      const out = join(dir, 'worker');
      await makeExecutable({
        source: join(import.meta.dirname, 'example-worker.ts'),
        out,
        singleThreaded: true,
      });
      expect(execFileSync(out, { encoding: 'utf8' })).toBe(
        'fork: called in a worker thread, but only the main thread may be copied\n',
      );
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  test('an asynchronous child is a type error, and none that passes for success', () => {
    // @ts-expect-error a promise is no status: in the child nothing would ever keep it
    const pid = fork(async () => 0);
    expect(waitpid(pid)).toEqual({ kind: 'exited', code: 1 });
  });

  test.each([256, -1, 1.5, NaN])('%d is no exit status: the child ends with 1', (status) => {
    expect(waitpid(fork(() => status))).toEqual({ kind: 'exited', code: 1 });
  });

  test('only children can be waited for, one by one', () => {
    for (const pid of [0, -1, -5, NaN, 1.5])
      expect(() => waitpid(pid)).toThrow(`waitpid: ${pid} is no process id`);
    expect(() => waitpid(1)).toThrow('waitpid 1: ECHILD');
  });

  test('a child that throws ends with status 1', () => {
    const pid = fork(() => {
      throw new Error('expected by a test');
    });
    expect(waitpid(pid)).toEqual({ kind: 'exited', code: 1 });
  });

  test('a child nobody has waited for is a zombie, and gone after the wait', () => {
    const pid = fork(() => 3);
    until('it is a zombie', () => / \(.*\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')));
    expect(waitpid(pid)).toEqual({ kind: 'exited', code: 3 });
    expect(() => readFileSync(`/proc/${pid}/stat`)).toThrow('ENOENT');
    expect(() => waitpid(pid)).toThrow(`waitpid ${pid}: ECHILD (No child processes)`);
  });

  test('stopping and going on are told to who asks, and are no end', () => {
    const pid = fork(() => execve('/bin/sh', ['sh', '-c', 'kill -STOP $$; exit 5'], []));
    expect(waitpid(pid, WUNTRACED)).toEqual({ kind: 'stopped', signal: SIGNALS['SIGSTOP'] });
    expect(readStat(pid)!.state).toBe('T');
    expect(waitpid(pid, WNOHANG)).toBeUndefined();
    kill(pid, SIGNALS['SIGCONT']!);
    expect(waitpid(pid)).toEqual({ kind: 'exited', code: 5 });
    const other = fork(() => execve('/bin/sleep', ['sleep', '1000'], []));
    kill(other, SIGNALS['SIGSTOP']!);
    waitpid(other, WUNTRACED);
    kill(other, SIGNALS['SIGCONT']!);
    expect(waitpid(other, WCONTINUED)).toEqual({ kind: 'continued' });
    kill(other, SIGNALS['SIGKILL']!);
    expect(exitCode(waitpid(other))).toBe(137);
  });

  test('a killed child tells the signal, and the wait does not block the event loop', async () => {
    const pid = fork(() => {
      execve('/bin/sleep', ['sleep', '1000'], []);
    });
    let ticks = 0;
    const timer = setInterval(() => ticks++, 5);
    // Only then: until it is another program, it shares the signal handlers of this one.
    until('it is sleep', () => readStat(pid)!.comm === 'sleep');
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

  test('refuses a NUL byte, at which the kernel would cut the text off', () => {
    for (const [path, argv, env] of [
      ['/bin/\0sh', [], []],
      ['/bin/sh', ['sh', 'a\0b'], []],
      ['/bin/sh', ['sh'], ['A=\0']],
    ] as const)
      expect(() => execve(path, argv, env)).toThrow(/execve: NUL byte in "/);
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
