import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readSync,
  rmSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dup2, fork, isAlive, kill, pipe, SIGNALS, waitpid } from '../01-processes/index.ts';
import { clone } from './clone.ts';

// What the demo and the tests of this chapter share: children that look around and report.

/** What `fn` returns (as JSON) when it runs in a child of its own, in new namespaces if flags name any; what it throws is thrown here. */
export function ask<T>(fn: () => T, flags = 0): T {
  const { read, write } = pipe();
  const body = (): void => {
    closeSync(read);
    answer(write, fn);
  };
  const pid = flags === 0 ? fork(body) : clone(flags, body);
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
  const text = readToEnd(fd);
  const status = waitpid(pid);
  if (text === '') throw new Error(`the child said nothing and ended: ${JSON.stringify(status)}`);
  const { value, error } = JSON.parse(text) as { value: unknown; error?: string };
  if (error !== undefined) throw new Error(error);
  return value;
}

/** What a child in new namespaces prints: `fn` sets up and then executes a program. */
export function output(flags: number, fn: () => void): string {
  const { read, write } = pipe();
  const pid = clone(flags, () => {
    closeSync(read);
    dup2(write, 1);
    dup2(write, 2);
    fn();
  });
  closeSync(write);
  const text = readToEnd(read);
  waitpid(pid);
  return text.trimEnd();
}

/** A child that has run `setUp` and then waits, so that it can be looked at from outside. `end` may be called twice. */
export interface Parked {
  pid: number;
  end: () => void;
}

/** Makes such a child, in new namespaces if flags name any. It ends with this process, at the latest. */
export function parked(setUp: () => void, flags = 0): Parked {
  const ready = pipe();
  const hold = pipe();
  const body = (): void => {
    closeSync(ready.read);
    closeSync(hold.write);
    answer(ready.write, setUp);
    closeSync(ready.write);
    readSync(hold.read, Buffer.alloc(1));
  };
  const pid = flags === 0 ? fork(body) : clone(flags, body);
  closeSync(ready.write);
  closeSync(hold.read);
  let ended = false;
  const end = (): void => {
    if (ended) return;
    ended = true;
    closeSync(hold.write);
    if (isAlive(pid)) kill(pid, SIGNALS['SIGKILL']!);
    waitpid(pid);
  };
  const text = readToEnd(ready.read);
  if (text === '') {
    closeSync(hold.write);
    throw new Error(`the child said nothing and ended: ${JSON.stringify(waitpid(pid))}`);
  }
  const { error } = JSON.parse(text) as { error?: string };
  if (error !== undefined) {
    end();
    throw new Error(error);
  }
  return { pid, end };
}

/** What is made on the machine has a name of this run alone. */
export const tag = Math.random().toString(36).slice(2, 7).padEnd(5, '0');

/** A number for an address, drawn anew each time. */
export const octet = (): number => 1 + Math.floor(Math.random() * 250);

export function canRead(path: string): boolean {
  try {
    readFileSync(path);
    return true;
  } catch {
    return false;
  }
}

/** A directory of one's own, and its removal. */
export function emptyFolder(): { dir: string; remove: () => void } {
  const dir = mkdtempSync(join(tmpdir(), 'ch02-'));
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

/** A directory that can be a container's root: a static busybox and a few names for it. */
export function makeRoot(): { dir: string; root: string; remove: () => void } {
  const busybox = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path));
  if (!busybox) throw new Error('no busybox: install the package busybox-static');
  const { dir, remove } = emptyFolder();
  chmodSync(dir, 0o755);
  const root = join(dir, 'root');
  for (const name of ['bin', 'proc', 'tmp']) mkdirSync(join(root, name), { recursive: true });
  copyFileSync(busybox, join(root, 'bin', 'busybox'));
  for (const applet of ['sh', 'ls', 'ps', 'mount', 'hostname', 'id', 'cat'])
    symlinkSync('busybox', join(root, 'bin', applet));
  return { dir, root, remove };
}

function readToEnd(fd: number): string {
  const chunks: Buffer[] = [];
  const chunk = Buffer.alloc(65536);
  for (let n; (n = readSync(fd, chunk)) > 0;) chunks.push(Buffer.from(chunk.subarray(0, n)));
  closeSync(fd);
  return Buffer.concat(chunks).toString();
}
