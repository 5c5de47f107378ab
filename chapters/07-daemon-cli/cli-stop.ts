import { eachName, part, type CliCommand, type CliOption } from './cli-command.ts';
import { parseInteger } from './cli-values.ts';

interface StopFlags {
  signal?: string;
  /** seconds */
  timeout?: number;
  /** Docker's older name for it */
  time?: number;
}

const STOP_OPTIONS: readonly CliOption[] = [
  { flags: '-s, --signal <string>', help: 'Signal to send to the container' },
  {
    flags: '-t, --timeout <int>',
    help: 'Seconds to wait before killing the container',
    parse: parseInteger(),
  },
  { flags: '--time <int>', help: 'The same as --timeout', parse: parseInteger() },
];

export const stop: CliCommand<StopFlags> = {
  name: 'stop',
  aliases: ['container stop'],
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  summary: 'Stop one or more running containers',
  operands: [1, Infinity],
  options: STOP_OPTIONS,
  run: (api, names, { signal, timeout, time }) =>
    eachName(names, (name) =>
      api.json('POST', `/containers/${part(name)}/stop`, { query: { signal, t: timeout ?? time } }),
    ),
};

export const restart: CliCommand<StopFlags> = {
  name: 'restart',
  aliases: ['container restart'],
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  summary: 'Restart one or more containers',
  operands: [1, Infinity],
  options: STOP_OPTIONS,
  run: (api, names, { signal, timeout, time }) =>
    eachName(names, (name) =>
      api.json('POST', `/containers/${part(name)}/restart`, { query: { signal, t: timeout ?? time } }),
    ),
};
