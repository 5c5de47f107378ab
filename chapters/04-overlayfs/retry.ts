import { setTimeout as sleep } from 'node:timers/promises';

export interface RetryOptions {
  /** How often it is tried in all. */
  tries: number;
  /** The first pause, in milliseconds; each is twice as long as the one before, give or take a quarter. */
  pause: number;
  /** Whether an error is worth another try; a number: after so many milliseconds at least. */
  isPassing: (error: unknown) => boolean | number;
  signal?: AbortSignal | undefined;
  /** Told before each pause. */
  onRetry?: (pause: number) => void;
}

/** Pauses do not grow beyond this, in milliseconds. */
const LONGEST = 30_000;

/**
 * Does something that may fail in passing, again and again, leaving longer and longer pauses: whoever is in trouble is not helped by a
 * thousand clients that come back at the same moment, hence the chance in each pause.
 * @param attempt may say with `progressed()` that it got further than before: then the count begins anew
 * @throws the last error; the reason of `signal` once that is aborted
 */
export async function retry<T>(
  attempt: (progressed: () => void) => Promise<T>,
  { tries, pause, isPassing, signal, onRetry }: RetryOptions,
): Promise<T> {
  for (let tried = 1; ; tried++) {
    try {
      return await attempt(() => (tried = 1));
    } catch (error) {
      signal?.throwIfAborted();
      const passing = isPassing(error);
      // Who asks for more patience than we have is not asked again.
      if (passing === false || tried >= tries || (typeof passing === 'number' && passing > LONGEST))
        throw error;
      const chance = 0.75 + Math.random() / 2;
      const own = Math.min(pause * 2 ** (tried - 1), LONGEST) * chance;
      const wait = Math.max(own, typeof passing === 'number' ? passing : 0);
      onRetry?.(wait);
      await sleep(wait, undefined, signal ? { signal } : {}).catch(() => signal?.throwIfAborted());
    }
  }
}
