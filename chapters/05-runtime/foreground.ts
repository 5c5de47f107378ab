import { closeSync, write } from 'node:fs';
import type { ReadStream } from 'node:tty';
import { exitCode, isErrno, kill, restOfTerminal, setWindowSize, waitAsync } from '../01-processes/index.ts';
import { consoleSocketPair } from './console.ts';
import { c_receiveDescriptor } from './syscalls.ts';

/** Signals that a person or a supervisor sends to this runtime, and means the container. */
const FORWARDED = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGTERM',
  'SIGUSR1',
  'SIGUSR2',
  'SIGCONT',
  'SIGALRM',
] as const;
/** For how long nothing must have come, in milliseconds, before a terminal counts as read to its end though a process still holds it. */
const QUIET = 200;

/** The terminal of a program that runs in the foreground: this runtime holds it, between the container and its own terminal. */
export interface ForegroundTerminal {
  /** For the container's process: the socket to send the terminal to. */
  socket: number;
  /** Takes the terminal and connects it to this process's standard input and output. To be called once it was sent. */
  connect(): Promise<Connection>;
  close(): void;
}

interface Connection {
  /** Resolves when all output has been written. */
  finish(): Promise<void>;
}

/** Makes the sockets by which the terminal comes out of the container. */
export function foregroundTerminal(): ForegroundTerminal {
  const [mine, its] = consoleSocketPair();
  return {
    socket: its,
    connect: () => {
      closeSync(its);
      return connectTerminal(c_receiveDescriptor(mine));
    },
    close: () => closeSync(mine),
  };
}

async function connectTerminal(master: number): Promise<Connection> {
  if (master === -1) throw new Error('the container sent no terminal');
  // Streams and sockets come with it: 10 ms of a start, for those with a terminal alone.
  const { ReadStream } = await import('node:tty');
  const { stdin, stdout } = process;
  const resize = (): void => {
    if (stdout.isTTY) setWindowSize(master, { rows: stdout.rows, cols: stdout.columns });
  };
  resize();
  stdout.on('resize', resize);
  if (stdin.isTTY) stdin.setRawMode(true);
  const output = new ReadStream(master);
  const ended = new Promise<void>((resolve) => {
    output.on('error', () => resolve()); // EIO: the last slave has closed
    output.on('end', () => {
      stdout.write(restOfTerminal(master));
      resolve();
    });
  });
  output.on('data', (data) => {
    if (!stdout.write(data)) {
      output.pause();
      stdout.once('drain', () => output.resume());
    }
  });
  stdin.on('data', (data) => {
    stdin.pause();
    writeAll(master, data, () => stdin.resume());
  });
  stdin.on('end', () => writeAll(master, Buffer.from([4]), () => undefined)); // Ctrl-D: the line discipline's end of file
  return {
    finish: async () => {
      await Promise.race([ended, quiet(output)]);
      if (stdin.isTTY) stdin.setRawMode(false);
      stdin.destroy();
      output.destroy();
    },
  };
}

/**
 * Resolves when nothing more comes: a process that the program left behind may hold the terminal for ever. What waits to be read is read first,
 * however late this process gets to it: timers come before reading in Node's loop, `setImmediate` after.
 */
function quiet(output: ReadStream): Promise<void> {
  return new Promise((resolve) => {
    let heard = true;
    output.on('data', () => (heard = true));
    const look = (): void => {
      if (!heard && !output.isPaused()) return resolve();
      heard = false;
      setTimeout(() => setImmediate(look), QUIET).unref();
    };
    look();
  });
}

/** The master does not block: what it does not take at once is offered again. */
function writeAll(fd: number, data: Buffer, done: () => void): void {
  write(fd, data, (error, written) => {
    if (error && !isErrno(error, 'EAGAIN')) return done();
    const rest = data.subarray(error ? 0 : written);
    if (rest.length === 0) return done();
    setTimeout(() => writeAll(fd, rest, done), error ? 5 : 0);
  });
}

/**
 * Waits for a program of a container that runs in the foreground, and sends it the signals that this runtime gets. Returns its exit status as
 * a shell has it.
 */
export async function waitInForeground(pid: number, connection: Connection | undefined): Promise<number> {
  const forward = (_name: string, number: number): void => {
    try {
      kill(pid, number);
    } catch (error) {
      if (!isErrno(error, 'ESRCH')) throw error;
    }
  };
  for (const name of FORWARDED) process.on(name, forward);
  try {
    const status = exitCode(await waitAsync(pid));
    await connection?.finish();
    return status;
  } finally {
    for (const name of FORWARDED) process.off(name, forward);
  }
}
