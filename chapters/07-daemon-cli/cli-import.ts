import type { CliCommand } from './cli-command.ts';
import { withChanges } from './cli-commit.ts';
import { openInput } from './cli-load.ts';
import { parseReference } from './cli-reference.ts';
import { showProgress } from './cli-pull.ts';

interface ImportFlags {
  change?: string[];
  message?: string;
  platform?: string;
}

export const importImage: CliCommand<ImportFlags> = {
  name: 'import',
  aliases: ['image import'],
  usage: '[OPTIONS] file|- [REPOSITORY[:TAG]]',
  summary: 'Import the contents from a tarball to create a filesystem image',
  operands: [1, 2],
  options: [
    { flags: '-c, --change <list>', help: 'Apply Dockerfile instruction to the created image', list: true },
    { flags: '-m, --message <string>', help: 'Set commit message for imported image' },
    { flags: '--platform <string>', help: 'Set platform if server is multi-platform capable' },
  ],
  async run(api, [file, name], { change = [], message, platform }) {
    const body = openInput(file === '-' ? undefined : file);
    const { repository = undefined, tag = undefined } = name === undefined ? {} : parseReference(name);
    const changes = change.map((one) => `changes=${encodeURIComponent(one)}`).join('&');
    const path = withChanges('/images/create', changes, {
      fromSrc: '-',
      repo: repository,
      tag,
      message,
      platform,
    });
    const answer = await api.request('POST', path, {
      headers: { 'Content-Type': 'application/x-tar' },
      body,
    });
    await showProgress(answer, process.stdout);
  },
};
