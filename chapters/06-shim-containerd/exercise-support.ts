import { setTimeout as sleep } from 'node:timers/promises';
import { Wrong } from '../01-processes/index.ts';

/** Rethrows what is not the learner's answer; gives the error back when it is. */
export function answer(error: unknown): Error {
  if (!(error instanceof Error) || error.name === 'NotImplemented' || error instanceof Wrong) throw error;
  return error;
}

/** What comes of a promise within so many milliseconds; else `undefined`. */
export async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T | undefined> {
  const timer = new AbortController();
  try {
    const late = sleep(milliseconds, undefined, { signal: timer.signal }).catch(() => undefined);
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
  }
}

/** Waits until `holds`, at most so many milliseconds. Whether it came to hold. */
export async function eventually(holds: () => boolean, milliseconds = 2000): Promise<boolean> {
  for (const end = Date.now() + milliseconds; Date.now() < end; await sleep(10)) if (holds()) return true;
  return holds();
}
