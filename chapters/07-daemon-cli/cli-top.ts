import { part, print, type CliCommand } from './cli-command.ts';
import { table } from './cli-format.ts';

const MIN_COLUMN = 20;

export const top: CliCommand = {
  name: 'top',
  aliases: ['container top'],
  usage: 'CONTAINER [ps OPTIONS]',
  summary: 'Display the running processes of a container',
  operands: [1, Infinity],
  passThrough: true,
  options: [],
  async run(api, [name, ...psOptions]) {
    const { Titles, Processes } = await api.json<{ Titles: string[]; Processes: string[][] | null }>(
      'GET',
      `/containers/${part(name!)}/top`,
      { query: { ps_args: psOptions.join(' ') } },
    );
    table([Titles, ...(Processes ?? [])], MIN_COLUMN).forEach(print);
  },
};
