import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { ReadStream } from 'node:tty';
import { isErrno, restOfTerminal } from '../01-processes/index.ts';

/** A descriptor that is read from as bytes come, without stopping this process. */
export interface Source {
  /** Takes what has been written so far, and then counts as ended: the writer is dead, and others do not concern us. */
  drain(): void;
  pause(): void;
  resume(): void;
  close(): void;
}

/**
 * Reads the end of a pipe, or a terminal's master, until it ends. `onData` gets every byte, and `onEnd` is called once, after the last.
 * What comes after a `drain` is read and dropped, so that whoever still holds the other end is not killed by writing.
 */
export function readFrom(
  fd: number,
  kind: 'pipe' | 'terminal',
  onData: (data: Buffer) => void,
  onEnd: () => void,
): Source {
  const stream =
    kind === 'terminal' ? new ReadStream(fd) : new Socket({ fd, readable: true, writable: false });
  let ended = false;
  const end = (): void => {
    if (ended) return;
    ended = true;
    onEnd();
  };
  stream.on('data', (data: Buffer) => {
    if (!ended) onData(data);
  });
  // EIO is how a master says that the last slave was closed: the end of file of terminals.
  stream.on('error', end);
  stream.on('end', () => {
    const rest = kind === 'terminal' && !ended ? restOfTerminal(fd) : Buffer.alloc(0);
    if (rest.length > 0) onData(rest);
    end();
  });
  stream.on('close', end);
  return {
    drain: () => {
      const buffer = Buffer.allocUnsafe(64 << 10);
      for (let count = 1; !ended && count > 0;) {
        count = readNow(fd, buffer);
        if (count > 0) onData(Buffer.from(buffer.subarray(0, count)));
      }
      end();
      stream.resume();
    },
    pause: () => void stream.pause(),
    resume: () => void stream.resume(),
    close: () => {
      ended = true;
      stream.destroy();
    },
  };
}

/** Bytes that are there at once: none is 0, and so is the end. */
function readNow(fd: number, buffer: Buffer): number {
  try {
    return readSync(fd, buffer);
  } catch (error) {
    if (isErrno(error, 'EAGAIN', 'EIO', 'EBADF')) return 0;
    throw error;
  }
}

/** Where a source's bytes go. */
export interface Sink {
  /** Takes all of it; false: wait with more until `onReady`. */
  write(data: Buffer): boolean;
  onReady(resume: () => void): void;
  /** Nothing more will come. */
  end(): void;
  /** Settles when all has been handed over, or after so many milliseconds. */
  close(limit: number): Promise<void>;
}

/** Writes to a fifo for as long as it takes; a reader that goes away and comes back finds what it had not read. */
export function fifoSink(path: string): Sink {
  // Our own reading end: writing never fails for want of a reader, and bytes in the fifo outlive every reader.
  const keeper = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  const stream = new Socket({ fd, readable: false, writable: true });
  stream.on('error', () => undefined);
  return {
    write: (data) => stream.write(data),
    onReady: (resume) => void stream.on('drain', resume),
    end: () => void stream.end(),
    close: async (limit) => {
      if (!stream.destroyed) {
        stream.end();
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, limit);
          stream.once('close', () => (clearTimeout(timer), resolve()));
        });
        stream.destroy();
      }
      closeSync(keeper);
    },
  };
}

/** A sink that takes every byte at once. */
export function directSink(write: (data: Buffer) => void, end: () => void): Sink {
  return {
    write: (data) => (write(data), true),
    onReady: () => undefined,
    end,
    close: () => Promise.resolve(),
  };
}

/**
 * Writes to a descriptor that takes only so much at a time (a terminal whose program does not read). `write` says whether all went;
 * when it did not, the rest follows, and then `onReady` is called.
 */
export function patientWriter(
  fd: number,
  onReady: () => void,
): { write(data: Buffer): boolean; close(): void } {
  let rest: Buffer = Buffer.alloc(0);
  let timer: NodeJS.Timeout | undefined;
  const flush = (): boolean => {
    try {
      while (rest.length > 0) rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      if (!isErrno(error, 'EAGAIN'))
        rest = Buffer.alloc(0); // EIO: the terminal is gone
      else
        timer ??= setTimeout(() => {
          timer = undefined;
          if (flush()) onReady();
        }, 10);
    }
    return rest.length === 0;
  };
  return {
    write: (data) => {
      rest = rest.length === 0 ? data : Buffer.concat([rest, data]);
      return flush();
    },
    close: () => clearTimeout(timer),
  };
}
