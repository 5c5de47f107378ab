import { eachName, part, type CliCommand } from './cli-command.ts';

export const kill: CliCommand<{ signal?: string }> = {
  name: 'kill',
  aliases: ['container kill'],
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  summary: 'Kill one or more running containers',
  operands: [1, Infinity],
  options: [{ flags: '-s, --signal <string>', help: 'Signal to send to the container' }],
  run: (api, names, { signal = 'KILL' }) =>
    eachName(names, (name) => api.json('POST', `/containers/${part(name)}/kill`, { query: { signal } })),
};
