import { CommandError, type CliCommand } from './cli-command.ts';
import { writeOutput } from './cli-output.ts';

export const save: CliCommand<{ output?: string }> = {
  name: 'save',
  aliases: ['image save'],
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  summary: 'Save one or more images to a tar archive (streamed to STDOUT by default)',
  operands: [1, Infinity],
  options: [{ flags: '-o, --output <string>', help: 'Write to a file, instead of STDOUT' }],
  async run(api, names, { output }) {
    if (output === undefined && process.stdout.isTTY)
      throw new CommandError('cowardly refusing to save to a terminal. Use the -o flag or redirect');
    const query = names.map((name) => `names=${encodeURIComponent(name)}`).join('&');
    const answer = await api.request('GET', `/images/get?${query}`);
    await writeOutput(answer, output);
  },
};
