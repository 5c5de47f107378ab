import { closeSync, readSync, writeSync } from 'node:fs';
import type { Trial } from './exercise.ts';
import { closeQuietly, fork, pipe, waitpid } from './fork.ts';
import { kill, SIGNALS } from './signals.ts';

/** A child that has done what it was made for, and waits, so that it can be looked at from outside. */
export interface WaitingChild<T> {
  pid: number;
  /** What the function returned. */
  result: T;
}

/**
 * Runs `fn` in a child of its own, for what must not be done to the process that checks: entering namespaces, changing the root. The child
 * stays, waiting, until the check is over. What `fn` returns comes back as JSON; what it throws is thrown here, with its name and
 * properties.
 */
export function inChild<T>(t: Trial, fn: () => T): WaitingChild<T> {
  const said = pipe();
  const hold = pipe();
  const pid = fork(() => {
    closeSync(hold.write);
    writeSync(said.write, `${JSON.stringify(outcomeOf(t, fn))}\n`);
    readSync(hold.read, Buffer.alloc(1)); // until the other end is closed
  });
  closeSync(said.write);
  closeSync(hold.read);
  t.cleanup(() => {
    closeQuietly(hold.write);
    try {
      kill(pid, SIGNALS['SIGKILL']!);
    } catch {
      // it has ended by itself
    }
    waitpid(pid);
  });
  const line = readLine(said.read);
  closeSync(said.read);
  if (line === '') throw new Error('the child ended before it had done its work');
  const outcome = JSON.parse(line) as { result: T } | { error: { name: string; message: string } };
  if ('error' in outcome) throw Object.assign(new Error(outcome.error.message), outcome.error);
  return { pid, result: outcome.result };
}

function outcomeOf<T>(t: Trial, fn: () => T): object {
  try {
    return { result: fn() };
  } catch (error) {
    if (!(error instanceof Error)) return { error: { name: 'Error', message: String(error) } };
    // Explained here: in the parent the namespaces, mounts and rights are others.
    const likelyCause = t.explain?.(error);
    const { name, message, stack } = error;
    return { error: { ...error, ...(likelyCause && { likelyCause }), name, message, stack } };
  }
}

function readLine(fd: number): string {
  const chunk = Buffer.alloc(65_536);
  let text = '';
  while (!text.endsWith('\n')) {
    const n = readSync(fd, chunk);
    if (n === 0) break;
    text += chunk.toString('utf8', 0, n);
  }
  return text.trimEnd();
}
