import { chunksOf } from './api-client.ts';
import { apiTime } from './api-time.ts';
import { inspectContainer } from './cli-attach.ts';
import { CommandError, messageOf, part, type CliCommand } from './cli-command.ts';
import { receiveOutput } from './cli-streams.ts';

interface LogsFlags {
  details?: boolean;
  follow?: boolean;
  since?: string;
  tail?: string;
  timestamps?: boolean;
  until?: string;
}

export const logs: CliCommand<LogsFlags> = {
  name: 'logs',
  aliases: ['container logs'],
  usage: '[OPTIONS] CONTAINER',
  summary: 'Fetch the logs of a container',
  operands: [1, 1],
  options: [
    { flags: '--details', help: 'Show extra details provided to logs' },
    { flags: '-f, --follow', help: 'Follow log output' },
    {
      flags: '--since <string>',
      help: 'Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)',
    },
    {
      flags: '-n, --tail <string>',
      help: 'Number of lines to show from the end of the logs (default "all")',
      parse: parseTail,
    },
    { flags: '-t, --timestamps', help: 'Show timestamps' },
    {
      flags: '--until <string>',
      help: 'Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)',
    },
  ],
  async run(api, [name], { since, until, tail = 'all', follow, timestamps, details }) {
    const now = Date.now();
    const query = {
      stdout: 1,
      stderr: 1,
      follow,
      timestamps,
      details,
      tail,
      since: since && checkedTime('since', since, now),
      until: until && checkedTime('until', until, now),
    };
    const { Id, Config } = await inspectContainer(api, name!);
    const answer = await api.request('GET', `/containers/${part(Id)}/logs`, { query });
    await receiveOutput(chunksOf(answer), {
      tty: Config.Tty,
      stdout: process.stdout,
      stderr: process.stderr,
    });
  },
};

function parseTail(text: string): string {
  if (text !== 'all' && !/^-?\d+$/.test(text)) throw new RangeError('give a number of lines, or all');
  return text.startsWith('-') ? 'all' : text;
}

function checkedTime(flag: string, text: string, now: number): string {
  try {
    return apiTime(text, now);
  } catch (error) {
    throw new CommandError(`invalid value for "${flag}": ${messageOf(error)}`, 1, { cause: error });
  }
}
