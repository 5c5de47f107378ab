import { setTimeout as sleep } from 'node:timers/promises';

/** Rethrows what is not the learner's answer; gives the error back when it is. */
export function answer(error: unknown): Error {
  if (!(error instanceof Error) || error.name === 'NotImplemented') throw error;
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

/** A frame as the Engine API describes it. */
export function bytesOf(stream: number, data: Buffer): Buffer {
  const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(data.length, 4);
  return Buffer.concat([header, data]);
}
