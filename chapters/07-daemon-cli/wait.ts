import { badParameter } from './api-error.ts';
import { isRunning, type ContainerRecord } from './container.ts';
import type { Daemon } from './daemon.ts';
import type { Ended } from './runs.ts';

/**
 * Waits for what the client asks: `not-running` (now, if it is so), `next-exit` (the end of the present or the next run), or `removed`.
 * From the moment of the call on: an end that comes right after is not missed.
 * @throws ApiError 400 for another condition
 */
export function waitForContainer(
  { runs }: Daemon,
  record: ContainerRecord,
  condition: string,
): Promise<Ended> {
  const run = runs.of(record);
  switch (condition) {
    case '':
    case 'not-running':
      return isRunning(record)
        ? run.nextEnd()
        : Promise.resolve({ exitCode: record.state.exitCode, error: record.state.error });
    case 'next-exit':
      return run.nextEnd();
    case 'removed':
      return run.removal();
    default:
      throw badParameter(`invalid condition: "${condition}"`);
  }
}
