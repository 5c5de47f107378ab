import { constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { checked } from '../01-processes/index.ts';
import { c_mkfifo } from './syscalls.ts';

/** Makes a named pipe for root alone. mkfifo(3). @throws SyscallError EEXIST … */
export function makeFifo(path: string): void {
  checked('mkfifo', c_mkfifo(path, 0o600), JSON.stringify(path));
}

/**
 * Opens a fifo for writing, whether or not anybody reads it yet: opened for both directions, it never waits, and what is written stays
 * until somebody does (64 KiB; then the stream says that it is full). fifo(7).
 */
export function writeFifo(path: string): Socket {
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  return new Socket({ fd, readable: false, writable: true });
}

/**
 * Opens a fifo for reading. It ends when its last writer closes it; so that it does not end before the first has come, this side
 * counts as one until `writersCame` is called.
 */
export function readFifo(path: string): { stream: Socket; writersCame(): void } {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const stand = new Socket({
    fd: openSync(path, constants.O_WRONLY | constants.O_NONBLOCK),
    readable: false,
    writable: true,
  });
  stand.on('error', () => undefined);
  return {
    stream: new Socket({ fd, readable: true, writable: false }),
    writersCame: () => void stand.destroy(),
  };
}
