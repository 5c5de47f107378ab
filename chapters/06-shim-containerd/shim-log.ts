import { constants, mkdirSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { checked, isErrno } from '../01-processes/index.ts';
import { c_mkfifo } from './syscalls.ts';
import type { TaskBundle } from './task-bundle.ts';
import type { Logger } from './logger.ts';

/**
 * Reads what a shim reports on the fifo `log` in its bundle, which is made where there is none, and passes it on. Returns the function
 * that ends this. We hold the fifo open for writing too, so that it never ends, and a shim that opens it need not wait for a reader.
 */
export function followShimLog(bundle: TaskBundle, log: Logger): () => void {
  const path = join(bundle.path, 'log');
  mkdirSync(bundle.path, { recursive: true });
  try {
    checked('mkfifo', c_mkfifo(path, 0o700), JSON.stringify(path));
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
  }
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const socket = new Socket({ fd, readable: true, writable: false });
  socket.on('error', () => socket.destroy());
  createInterface({ input: socket }).on('line', (line) => log('info', `shim ${bundle.id}: ${line}`));
  // A log is no reason to stay alive.
  socket.unref();
  return () => socket.destroy();
}
