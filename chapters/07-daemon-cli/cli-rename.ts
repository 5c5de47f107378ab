import { CommandError, messageOf, part, type CliCommand } from './cli-command.ts';

export const rename: CliCommand = {
  name: 'rename',
  aliases: ['container rename'],
  usage: 'CONTAINER NEW_NAME',
  summary: 'Rename a container',
  operands: [2, 2],
  options: [],
  async run(api, [from, to]) {
    try {
      await api.json('POST', `/containers/${part(from!)}/rename`, { query: { name: to } });
    } catch (error) {
      throw new CommandError(`${messageOf(error)}\nError: failed to rename container named ${from}`, 1, {
        cause: error,
      });
    }
  },
};
