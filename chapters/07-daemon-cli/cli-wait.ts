import type { ApiClient } from './api-client.ts';
import { readText } from './api-client.ts';
import {
  CommandError,
  eachName,
  messageOf,
  part,
  STATUS_REFUSED,
  warn,
  type CliCommand,
} from './cli-command.ts';

export const wait: CliCommand = {
  name: 'wait',
  aliases: ['container wait'],
  usage: 'CONTAINER [CONTAINER...]',
  summary: 'Block until one or more containers stop, then print their exit codes',
  operands: [1, Infinity],
  options: [],
  run: (api, names) =>
    eachName(names, async (name) => {
      const { StatusCode } = await api.json<WaitAnswer>('POST', `/containers/${part(name)}/wait`);
      return String(StatusCode);
    }),
};

interface WaitAnswer {
  StatusCode: number;
  Error?: { Message?: string } | null;
}

/**
 * Begins to wait, and answers once the daemon has begun too (it sends its headers at once): a container that is started afterwards
 * cannot end unseen. What is answered gives the exit status, later; what the daemon says of it is printed, unless `quiet`.
 * @param condition `removed` for a container that is removed when it ends: until it is gone
 */
export async function beginWait(
  api: ApiClient,
  container: string,
  condition: 'next-exit' | 'removed' | 'not-running',
): Promise<(quiet?: 'quiet') => Promise<number>> {
  const answer = await api.request('POST', `/containers/${part(container)}/wait`, { query: { condition } });
  const text = readText(answer);
  // Looked at later; until then it is nobody's unhandled rejection.
  text.catch(() => {});
  return async (quiet) => {
    const { StatusCode, Error: failure } = await parsed(text);
    if (!failure?.Message) return StatusCode;
    if (!quiet) warn(failure.Message);
    return STATUS_REFUSED;
  };
}

async function parsed(text: Promise<string>): Promise<WaitAnswer> {
  try {
    return JSON.parse(await text) as WaitAnswer;
  } catch (error) {
    // No container depends on the daemon: this one goes on, and its status can be asked for later.
    throw new CommandError(`error waiting for container: ${messageOf(error)}`, STATUS_REFUSED, {
      cause: error,
    });
  }
}
