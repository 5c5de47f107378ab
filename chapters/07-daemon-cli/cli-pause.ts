import { eachName, part, type CliCommand } from './cli-command.ts';

export const pause: CliCommand = {
  name: 'pause',
  aliases: ['container pause'],
  usage: 'CONTAINER [CONTAINER...]',
  summary: 'Pause all processes within one or more containers',
  operands: [1, Infinity],
  options: [],
  run: (api, names) => eachName(names, (name) => api.json('POST', `/containers/${part(name)}/pause`)),
};

export const unpause: CliCommand = {
  name: 'unpause',
  aliases: ['container unpause'],
  usage: 'CONTAINER [CONTAINER...]',
  summary: 'Unpause all processes within one or more containers',
  operands: [1, Infinity],
  options: [],
  run: (api, names) => eachName(names, (name) => api.json('POST', `/containers/${part(name)}/unpause`)),
};
