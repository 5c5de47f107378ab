import { CommandError, part, type CliCommand } from './cli-command.ts';
import { writeOutput } from './cli-output.ts';

export const exportContainer: CliCommand<{ output?: string }> = {
  name: 'export',
  aliases: ['container export'],
  usage: '[OPTIONS] CONTAINER',
  summary: "Export a container's filesystem as a tar archive",
  operands: [1, 1],
  options: [{ flags: '-o, --output <string>', help: 'Write to a file, instead of STDOUT' }],
  async run(api, [container], { output }) {
    if (output === undefined && process.stdout.isTTY)
      throw new CommandError('cowardly refusing to save to a terminal. Use the -o flag or redirect');
    await writeOutput(await api.request('GET', `/containers/${part(container!)}/export`), output);
  },
};
