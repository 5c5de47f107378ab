import { open } from 'node:fs/promises';
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
export async function lockDirectory(dir: string): Promise<() => Promise<void>> {
  const path = join(dir, 'lock');
  const file = await open(path, 'a', 0o600);
  try {
    checked('flock', c_flock(file.fd, LOCK_EX | LOCK_NB), JSON.stringify(path));
  } catch (error) {
    await file.close();
    if (isErrno(error, 'EAGAIN', 'EWOULDBLOCK'))
      throw new StoreError('UNAVAILABLE', `${dir} is in use by another process`);
    throw error;
  }
  let held = true;
  return async () => {
    if (held) await file.close();
    held = false;
  };
}
