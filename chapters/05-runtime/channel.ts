import { readSync, writeSync } from 'node:fs';
import { closeQuietly, isErrno, pipe } from '../01-processes/index.ts';

/** What the container's side reports to the runtime, in the order in which it happens. */
export type Report =
  /** The user namespace is new: its maps are missing. Answered by `go`. */
  | { type: 'map-ids' }
  /** The time namespace is new, and nobody is in it: its clocks can be set. Answered by `go`. */
  | { type: 'set-clocks' }
  /** The second process has been made; its id as the runtime sees it. */
  | { type: 'pid'; pid: number }
  /** Everything is mounted, nothing is hidden yet: time for prestart and createRuntime hooks. Answered by `go`. */
  | { type: 'mounted' }
  /** A seccomp filter that asks a supervisor has been set: the number of its descriptor there. Answered by `go`. */
  | { type: 'seccomp'; fd: number }
  /** For the log, with --debug. */
  | { type: 'debug'; message: string }
  /** All is done but for the program itself. Answered by `go`. */
  | { type: 'ready' }
  | { type: 'error'; message: string };

/** One end of a talk between the runtime and a process that it forked: lines of JSON over two pipes, all of it blocking. */
export interface Channel {
  send(message: Report): void;
  /** The next message, or `undefined` when the other side has ended. */
  receive(): Report | undefined;
  /** Lets the other side go on, which waits in `awaitGo`. */
  go(): void;
  /** @throws Error when the runtime has ended instead: then nobody wants this container any more */
  awaitGo(): void;
  close(): void;
}

/** Makes both ends. Each side keeps one and closes the other. */
export function channelPair(): { runtime: Channel; container: Channel } {
  const up = pipe();
  const down = pipe();
  return { runtime: channel(up.read, down.write), container: channel(down.read, up.write) };
}

function channel(readFd: number, writeFd: number): Channel {
  let pending = Buffer.alloc(0);
  const readMore = (): boolean => {
    const chunk = Buffer.alloc(4096);
    const count = readRetry(readFd, chunk);
    pending = Buffer.concat([pending, chunk.subarray(0, count)]);
    return count > 0;
  };
  const line = (): string | undefined => {
    while (!pending.includes('\n')) if (!readMore()) return undefined;
    const end = pending.indexOf('\n');
    const text = pending.subarray(0, end).toString();
    pending = pending.subarray(end + 1);
    return text;
  };
  return {
    send: (message) => void writeSync(writeFd, `${JSON.stringify(message)}\n`),
    receive: () => {
      const text = line();
      return text === undefined ? undefined : (JSON.parse(text) as Report);
    },
    go: () => void writeSync(writeFd, 'go\n'),
    awaitGo: () => {
      if (line() !== 'go') throw new Error('the runtime ended before the container was ready');
    },
    close: () => {
      closeQuietly(readFd);
      closeQuietly(writeFd);
    },
  };
}

function readRetry(fd: number, into: Buffer): number {
  for (;;)
    try {
      return readSync(fd, into);
    } catch (error) {
      if (!isErrno(error, 'EINTR')) throw error;
    }
}
