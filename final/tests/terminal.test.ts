import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { ReadStream } from 'node:tty';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openPty, readStat, setWindowSize } from '../../chapters/01-processes/index.ts';
import { BIN } from '../build.ts';
import { processes } from '../engine.ts';
import { eventually, startTestEngine, type TestEngine } from './harness.ts';

let t: TestEngine;
beforeAll(async () => void (t = await startTestEngine()));
afterAll(() => t?.stop());

/** A person at a terminal of 24 by 80, with mydocker in its foreground. */
function sitDown(args: string[]) {
  const { master, slavePath } = openPty();
  setWindowSize(master, { rows: 24, cols: 80 });
  const slave = openSync(slavePath, 'r+');
  // setsid(1) gives the program a session with this terminal, as a login does.
  const child = spawn(
    'setsid',
    ['--ctty', '--wait', join(BIN, 'mydocker'), '-H', `unix://${t.engine.socket}`, ...args],
    {
      stdio: [slave, slave, slave],
    },
  );
  closeSync(slave);
  const screen = new ReadStream(master);
  let text = '';
  screen.on('data', (data) => (text += data.toString()));
  screen.on('error', () => undefined); // EIO: the last program has closed the terminal
  const closed = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
  const type = (keys: string): void => void (screen as unknown as { write(data: string): void }).write(keys);
  return {
    closed,
    type,
    /** Types a command, and waits until its process is the one that the keys of the terminal reach. */
    runs: async (command: string) => {
      type(`${command}\r`);
      await eventually(`${command} is in the foreground`, () =>
        processes().some(({ pid, args }) => args.join(' ') === command && isInForeground(pid)),
      );
    },
    resize: (rows: number, cols: number) => setWindowSize(master, { rows, cols }),
    seen: () => text,
    sees: (what: string | RegExp) =>
      eventually(`the screen shows ${what}\n${text}`, () =>
        typeof what === 'string' ? text.includes(what) : what.test(text),
      ),
    leave: () => void screen.destroy(),
  };
}

/** Whether a process is in the foreground of its terminal. */
function isInForeground(pid: number): boolean {
  const stat = readStat(pid);
  return stat !== undefined && stat.tpgid === stat.pgrp;
}

/** A command of this run's own. */
const SLEEP = `sleep ${randomInt(10_000, 1_000_000)}`;
const shell = ['run', '-it', '--rm', '-e', 'PS1=$ ', 'busybox', 'sh'];

describe('a terminal', () => {
  test('shows the shell, echoes what is typed, and ends on Ctrl-D with the shell’s status', async () => {
    const person = sitDown(shell);
    await person.sees('$ ');
    person.type('tty; echo "sum $((40+2))"\r');
    await person.sees('/dev/pts/0');
    await person.sees('sum 42\r\n');
    person.type('(exit 3)\r');
    // Only at its prompt the shell reads key by key: at a command, Ctrl-D would be an end of file for nobody.
    await person.sees(/\(exit 3\)\r\n\$ /);
    person.type('\x04');
    expect(await person.closed).toBe(3);
    person.leave();
  });

  test('has the size of the person’s terminal, and follows it', async () => {
    const person = sitDown(shell);
    await person.sees('$ ');
    await eventually('the size is known', async () => {
      person.type('stty size\r');
      await new Promise((resolve) => setTimeout(resolve, 200));
      return person.seen().includes('24 80\r\n');
    });
    person.resize(33, 101);
    await eventually('the new size is known', async () => {
      person.type('stty size\r');
      await new Promise((resolve) => setTimeout(resolve, 200));
      return person.seen().includes('33 101\r\n');
    });
    person.type('exit\r');
    expect(await person.closed).toBe(0);
    person.leave();
  });

  test('Ctrl-C ends the foreground program, not the shell', async () => {
    const person = sitDown(shell);
    await person.sees('$ ');
    await person.runs(SLEEP);
    person.type('\x03');
    await person.sees('^C');
    person.type('echo "status $?"\r');
    await person.sees('status 130');
    person.type('exit\r');
    await person.closed;
    person.leave();
  });

  test('Ctrl-Z stops a job, which goes on in the background', async () => {
    const person = sitDown(shell);
    await person.sees('$ ');
    await person.runs(SLEEP);
    person.type('\x1a');
    await person.sees(/Stopped/);
    person.type('bg; jobs\r');
    await person.sees(new RegExp(`Running +${SLEEP}`));
    person.type('kill %1; exit\r');
    await person.closed;
    person.leave();
  });

  test('exec -it gives a second one in the same container', async () => {
    const name = t.name();
    t.type(`run -d --name ${name} busybox sleep 1000`);
    const person = sitDown(['exec', '-it', '-e', 'PS1=# ', name, 'sh']);
    await person.sees('# ');
    person.type('tty; exit 4\r');
    await person.sees('/dev/pts/0');
    expect(await person.closed).toBe(4);
    person.leave();
    t.type(`rm -f ${name}`);
  });

  test('Ctrl-P Ctrl-Q leaves the container running', async () => {
    const name = t.name();
    const person = sitDown(['run', '-it', '--name', name, '-e', 'PS1=$ ', 'busybox', 'sh']);
    await person.sees('$ ');
    person.type('\x10\x11');
    await person.closed;
    expect(t.inspect(name).State.Running).toBe(true);
    person.leave();
    t.type(`rm -f ${name}`);
  });
});

test('-t without a terminal is refused, before anything is made', () => {
  const before = t.type('ps -aq').stdout;
  const result = t.mydocker(['run', '-it', 'busybox', 'sh']);
  expect(result.status).toBe(1);
  expect(result.stderr).toContain('the input device is not a TTY');
  expect(t.type('ps -aq').stdout).toBe(before);
});
