import { createWriteStream, renameSync, rmSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { CommandError, type CliCommand } from './cli-command.ts';

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
    if (output === undefined) {
      await pipeline(answer, process.stdout, { end: false });
      return;
    }
    // Whole or not at all: what was there stays until the last byte is written.
    const temporary = `${output}.${process.pid}.partial`;
    try {
      await pipeline(answer, createWriteStream(temporary, { flags: 'wx' }));
      renameSync(temporary, output);
    } finally {
      rmSync(temporary, { force: true });
    }
  },
};
