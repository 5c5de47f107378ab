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
import { ReadStream } from 'node:tty';
import { describe, expect, test } from 'vitest';
import {
  dup2,
  execve,
  fork,
  getWindowSize,
  isErrno,
  openPty,
  readStat,
  restOfTerminal,
  setControllingTerminal,
  setsid,
  setWindowSize,
  terminalName,
  waitpid,
} from '../index.ts';
import { until } from './until.ts';

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
      let text = '';
      while (!text.includes('\n')) text += chunk.toString('utf8', 0, readSync(master, chunk));
      // The line discipline has made a carriage return of it, as terminals want it.
      expect(text).toBe('hello\r\n');
      closeSync(slave);
    } finally {
      closeSync(master);
    }
  });

  test('gives all that it holds after the last program has left, also what Node has not read by then', async () => {
    const { master, slavePath } = openPty();
    const slave = openSync(slavePath, constants.O_RDWR | constants.O_NOCTTY);
    const line = 'l'.repeat(98);
    for (let i = 0; i < 80; i++) writeSync(slave, `${line}\n`); // 8 kB: no terminal holds much more
    closeSync(slave);
    const reader = new ReadStream(master);
    let text = '';
    try {
      reader.on('data', (data) => (text += data.toString()));
      await new Promise<void>((resolve) => {
        reader.on('error', () => resolve());
        reader.on('end', () => {
          text += restOfTerminal(master).toString();
          resolve();
        });
      });
    } finally {
      reader.destroy();
    }
    expect(text).toBe(`${line}\r\n`.repeat(80));
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
      // noflsh: otherwise Ctrl-C throws away what was printed and not yet read, an answer that came fast too.
      'stty noflsh; trap "echo interrupted; exit" INT; tty; echo ready; while :; do sleep 0.1; done',
      master,
      slavePath,
      '\x03',
    );
    expect(text).toContain(slavePath);
    expect(text).toContain('interrupted');
    closeSync(master);
  });

  test.each([-1, 65536, 1.5, NaN])('a size of %d is refused, and the old one stays', (rows) => {
    const { master } = openPty();
    setWindowSize(master, { rows: 7, cols: 9 });
    expect(() => setWindowSize(master, { rows, cols: 80 })).toThrow(
      `setWindowSize: rows is ${rows}: give a whole number from 0 to 65535`,
    );
    expect(getWindowSize(master)).toEqual({ rows: 7, cols: 9 });
    closeSync(master);
  });

  test('a session without a leader’s call to setsid has none, and a terminal serves one session', () => {
    const { master, slavePath } = openPty();
    const refused = (lead: boolean): number =>
      fork(() => {
        if (lead) setsid();
        try {
          setControllingTerminal(openSync(slavePath, constants.O_RDWR | constants.O_NOCTTY));
        } catch (error) {
          return isErrno(error, 'EPERM') ? 7 : 9;
        }
        return 0;
      });
    expect(waitpid(refused(false))).toEqual({ kind: 'exited', code: 7 });
    expect(waitpid(refused(true))).toEqual({ kind: 'exited', code: 0 });
    closeSync(master);
  });

  test('when the master closes, the session that had the terminal gets SIGHUP', () => {
    const { master, slavePath } = openPty();
    const pid = fork(() => {
      setsid();
      const slave = openSync(slavePath, constants.O_RDWR | constants.O_NOCTTY);
      setControllingTerminal(slave);
      closeSync(master);
      for (const fd of [0, 1, 2]) dup2(slave, fd);
      execve('/bin/sleep', ['sleep', '1000'], []);
    });
    until('it is sleep', () => readStat(pid)!.comm === 'sleep');
    expect(readStat(pid)).toMatchObject({ session: pid, pgrp: pid, tpgid: pid });
    expect(terminalName(readStat(pid)!.ttyNr)).toBe(slavePath.slice('/dev/'.length));
    closeSync(master);
    expect(waitpid(pid)).toEqual({ kind: 'signaled', signal: 1, coreDumped: false });
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
      expect(existsSync(slavePath)).toBe(false); // looked at here, where nobody else is given its number
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
