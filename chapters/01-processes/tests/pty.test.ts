import {
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readSync,
  rmdirSync,
  writeSync,
} from 'node:fs';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  dup2,
  execve,
  fork,
  getWindowSize,
  openPty,
  setControllingTerminal,
  setsid,
  setWindowSize,
  waitpid,
} from '../index.ts';

/** What a program writes to a terminal of its own, in a session of its own, until it ends. */
function inTerminal(script: string, master: number, slavePath: string, type: string): string {
  const pid = fork(() => {
    setsid();
    const slave = openSync(slavePath, constants.O_RDWR | constants.O_NOCTTY);
    setControllingTerminal(slave);
    for (const fd of [0, 1, 2]) dup2(slave, fd);
    execve('/bin/sh', ['sh', '-c', script], ['PATH=/bin:/usr/bin']);
  });
  let typed = false;
  const chunk = Buffer.alloc(4096);
  let text = '';
  for (;;) {
    try {
      text += chunk.toString('utf8', 0, readSync(master, chunk));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EIO') throw error; // the end: no slave is open any more
      break;
    }
    if (!typed && text.includes('ready')) {
      typed = true;
      writeSync(master, type);
    }
  }
  waitpid(pid);
  return text;
}

describe('pty', () => {
  test('has two ends, and the slave is a terminal', () => {
    const { master, slavePath } = openPty();
    try {
      expect(slavePath).toMatch(/^\/dev\/pts\/\d+$/);
      const slave = openSync(slavePath, constants.O_RDWR | constants.O_NOCTTY);
      writeSync(slave, 'hello\n');
      const chunk = Buffer.alloc(100);
      // The line discipline has made a carriage return of it, as terminals want it.
      expect(chunk.toString('utf8', 0, readSync(master, chunk))).toBe('hello\r\n');
      closeSync(slave);
    } finally {
      closeSync(master);
    }
    expect(existsSync(slavePath)).toBe(false);
  });

  test('keeps the size that either end is told', () => {
    const { master, slavePath } = openPty();
    const slave = openSync(slavePath, constants.O_RDWR | constants.O_NOCTTY);
    expect(getWindowSize(master)).toEqual({ rows: 0, cols: 0 });
    setWindowSize(master, { rows: 33, cols: 121 });
    expect(getWindowSize(slave)).toEqual({ rows: 33, cols: 121 });
    closeSync(slave);
    closeSync(master);
  });

  test('Ctrl-C is a signal to whoever has it as controlling terminal', () => {
    const { master, slavePath } = openPty();
    const text = inTerminal(
      'trap "echo interrupted; exit" INT; tty; echo ready; while :; do sleep 0.1; done',
      master,
      slavePath,
      '\x03',
    );
    expect(text).toContain(slavePath);
    expect(text).toContain('interrupted');
    closeSync(master);
  });

  test('window size is asked of a terminal only', () => {
    const fd = openSync('/dev/null', 'r');
    expect(() => getWindowSize(fd)).toThrow(`ioctl TIOCGWINSZ fd ${fd}: ENOTTY`);
    closeSync(fd);
  });

  test("another instance's multiplexer makes a terminal in that instance", () => {
    const instance = join(mkdtempSync(join(tmpdir(), 'ch01-pts-')), 'pts');
    execFileSync('mkdir', [instance]);
    execFileSync('mount', ['-t', 'devpts', '-o', 'newinstance,ptmxmode=0666,mode=0620', 'devpts', instance]);
    try {
      const { master, slavePath } = openPty(`${instance}/ptmx`);
      expect(slavePath).toBe(`${instance}/0`);
      expect(existsSync(slavePath)).toBe(true);
      closeSync(master);
    } finally {
      execFileSync('umount', [instance]);
      rmdirSync(instance);
      rmdirSync(join(instance, '..'));
    }
  });

  test('names the path that is no multiplexer', () => {
    expect(() => openPty('/dev/null')).toThrow('ioctl TIOCSPTLCK "/dev/null": ENOTTY');
  });
});
