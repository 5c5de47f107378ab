import { closeSync, mkdtempSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Step } from './demo-kit.ts';
import { dup2, execve, fork, pipe, waitAsync } from './fork.ts';
import { readCmdline, readStat } from './proc.ts';
import { isAlive, kill, SIGNALS } from './signals.ts';

const PATH = 'PATH=/usr/sbin:/usr/bin:/sbin:/bin';

/** Starts a program; it is ended with the step. Returns when it runs. */
export async function start(
  s: Step,
  argv: string[],
  before: () => void = () => {},
  env: string[] = [],
): Promise<number> {
  const pid = fork(() => {
    before();
    execve(argv[0]!, argv, [PATH, ...env]);
  });
  endWithStep(s, pid);
  await eventually(() => readStat(pid)?.comm !== readStat('self')!.comm);
  return pid;
}

/** Ends a child with the step, if it has not ended by then: also when the demo is interrupted in the middle of it. */
export function endWithStep(s: Step, pid: number): void {
  s.cleanup(`end process ${pid}`, async () => {
    if (isAlive(pid)) kill(pid, SIGNALS['SIGKILL']!);
    await waitAsync(pid).catch(() => undefined);
  });
}

/** What a program prints until it ends. `before` runs in the child, before the program does. */
export async function output(argv: string[], before: () => void = () => {}): Promise<string> {
  const { read, write } = pipe();
  const pid = fork(() => {
    dup2(write, 1);
    dup2(write, 2);
    before();
    execve(argv[0]!, argv, [PATH]);
  });
  closeSync(write);
  const chunk = Buffer.alloc(65_536);
  let text = '';
  for (let n; (n = readSync(read, chunk)) > 0;) text += chunk.toString('utf8', 0, n);
  closeSync(read);
  await waitAsync(pid);
  return text.trimEnd();
}

/** Whether it is sleep(1), and sleeps: the kernel gives a program its name before it gives it arguments. */
export function sleeps(pid: number): boolean {
  const stat = readStat(pid);
  return stat?.comm === 'sleep' && stat.state === 'S' && readCmdline(pid)!.length > 0;
}

/** Waits, without blocking, until something holds; false when it does not within half a minute. */
export async function eventually(holds: () => boolean): Promise<boolean> {
  for (let i = 0; i < 3000; i++) {
    if (holds()) return true;
    await setTimeout(10);
  }
  return false;
}

/** An empty folder, taken away with the step. */
export function folderOf(s: Step, under = tmpdir()): string {
  const folder = mkdtempSync(join(under, 'ch01-'));
  s.cleanup(`remove ${folder}`, () => rmSync(folder, { recursive: true }));
  return folder;
}
