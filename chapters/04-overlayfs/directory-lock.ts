import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { checked, isErrno } from '../01-processes/index.ts';
import { StoreError } from './errors.ts';
import { c_flock } from './syscalls.ts';

const LOCK_EX = 2;
const LOCK_NB = 4;

/**
 * Makes this the only process that has `dir` open, until the function it returns is called or the process ends: the kernel
 * lets go of the lock then, also after kill -9. Source: flock(2).
 * @throws StoreError UNAVAILABLE when someone else has it
 */
export function lockDirectory(dir: string): () => void {
  const path = join(dir, 'lock');
  const fd = openSync(path, 'a', 0o600);
  try {
    checked('flock', c_flock(fd, LOCK_EX | LOCK_NB), JSON.stringify(path));
  } catch (error) {
    closeSync(fd);
    if (isErrno(error, 'EAGAIN')) throw new StoreError('UNAVAILABLE', `${dir} is in use by another process`);
    throw error;
  }
  let held = true;
  return () => {
    if (held) closeSync(fd);
    held = false;
  };
}
