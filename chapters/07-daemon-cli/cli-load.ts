import { createReadStream, openSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { CommandError, messageOf, type CliCommand } from './cli-command.ts';
import { showProgress } from './cli-pull.ts';

interface LoadFlags {
  input?: string;
  quiet?: boolean;
}

export const load: CliCommand<LoadFlags> = {
  name: 'load',
  aliases: ['image load'],
  usage: '[OPTIONS]',
  summary: 'Load an image from a tar archive or STDIN',
  operands: [0, 0],
  options: [
    { flags: '-i, --input <string>', help: 'Read from tar archive file, instead of STDIN' },
    { flags: '-q, --quiet', help: 'Suppress the load output' },
  ],
  async run(api, _operands, { input, quiet }) {
    if (input === undefined && process.stdin.isTTY)
      throw new CommandError('requested load from stdin, but stdin is empty');
    const body = openInput(input);
    const answer = await api.request('POST', '/images/load', {
      query: { quiet: quiet || !process.stdout.isTTY },
      headers: { 'Content-Type': 'application/x-tar' },
      body,
    });
    if (!String(answer.headers['content-type']).startsWith('application/json')) {
      for await (const chunk of answer) process.stdout.write(chunk as Buffer);
      return;
    }
    await showProgress(answer, process.stdout);
  },
};

/**
 * The bytes of a file, or of standard input. Opened before anything is sent: a file that is not there is no affair of the daemon's.
 * @throws CommandError that names the file and the reason
 */
export function openInput(path: string | undefined): Readable {
  if (path === undefined) return process.stdin;
  try {
    return createReadStream('', { fd: openSync(path, 'r') });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reason =
      code === 'ENOENT'
        ? 'no such file or directory'
        : code === 'EACCES'
          ? 'permission denied'
          : messageOf(error);
    throw new CommandError(`open ${path}: ${reason}`, 1, { cause: error });
  }
}
