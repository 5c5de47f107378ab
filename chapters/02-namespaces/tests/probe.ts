import { closeSync, mkdtempSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fork, isAlive, kill, pipe, SIGNALS, waitpid } from '../../01-processes/index.ts';

if (process.getuid!() !== 0) throw new Error('these tests need root: type `sudo npm test`');

/** What `fn` returns (as JSON) when it runs in a child of its own; what it throws is thrown here, with its message. */
export function inChild<T>(fn: () => T): T {
  const { read, write } = pipe();
  const pid = fork(() => {
    closeSync(read);
    answer(write, fn);
  });
  closeSync(write);
  return collect(pid, read) as T;
}

/** Writes what `fn` returned or threw to a pipe. */
export function answer(fd: number, fn: () => unknown): void {
  let text: string;
  try {
    text = JSON.stringify({ value: fn() });
  } catch (error) {
    text = JSON.stringify({ error: (error as Error).message });
  }
  writeSync(fd, text);
}

/** Reads such an answer to its end, and waits for the child. */
export function collect(pid: number, fd: number): unknown {
  const chunks: Buffer[] = [];
  const chunk = Buffer.alloc(65536);
  for (let n; (n = readSync(fd, chunk)) > 0;) chunks.push(Buffer.from(chunk.subarray(0, n)));
  closeSync(fd);
  const status = waitpid(pid);
  const text = Buffer.concat(chunks).toString();
  if (text === '') throw new Error(`the child said nothing and ended: ${JSON.stringify(status)}`);
  const { value, error } = JSON.parse(text) as { value: unknown; error?: string };
  if (error !== undefined) throw new Error(error);
  return value;
}

/** A child that has run `setUp` and then waits, so that its namespaces can be looked at from outside. */
export function parked(setUp: () => void): { pid: number; end: () => void } {
  const ready = pipe();
  const hold = pipe();
  const pid = fork(() => {
    closeSync(ready.read);
    closeSync(hold.write);
    answer(ready.write, setUp);
    closeSync(ready.write);
    readSync(hold.read, Buffer.alloc(1));
  });
  closeSync(ready.write);
  closeSync(hold.read);
  const end = (): void => {
    closeSync(hold.write);
    if (isAlive(pid)) kill(pid, SIGNALS['SIGKILL']!);
    waitpid(pid);
  };
  const buffer = Buffer.alloc(65536);
  const text = buffer.toString('utf8', 0, readSync(ready.read, buffer));
  closeSync(ready.read);
  const { error } = JSON.parse(text) as { error?: string };
  if (error !== undefined) {
    end();
    throw new Error(error);
  }
  return { pid, end };
}

/** A directory of the test's own, and its removal. */
export function temporaryDirectory(): { dir: string; remove: () => void } {
  const dir = mkdtempSync(join(tmpdir(), 'ch02-'));
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

/** A short random name: `ch02-k3x9a1`. */
export const randomName = (prefix = 'ch02'): string =>
  `${prefix}-${Math.random().toString(36).slice(2, 8).padEnd(6, '0')}`;
