import { CommandError, imagePath, type CliCommand } from './cli-command.ts';
import { showProgress } from './cli-pull.ts';
import { parseReference } from './cli-reference.ts';
import { authHeaders } from './cli-registry-auth.ts';

interface PushFlags {
  allTags?: boolean;
  quiet?: boolean;
}

export const push: CliCommand<PushFlags> = {
  name: 'push',
  aliases: ['image push'],
  usage: '[OPTIONS] NAME[:TAG]',
  summary: 'Upload an image to a registry',
  operands: [1, 1],
  options: [
    { flags: '-a, --all-tags', help: 'Push all tags of an image to the repository' },
    { flags: '-q, --quiet', help: 'Suppress verbose output' },
  ],
  async run(api, [image], { allTags, quiet }) {
    const { repository, tag, digest } = parseReference(image!);
    if (digest) throw new CommandError('cannot push a digest reference');
    if (allTags && tag) throw new CommandError("tag can't be used with --all-tags/-a");
    const answer = await api.request('POST', `${imagePath(repository)}/push`, {
      query: { tag: allTags ? undefined : (tag ?? 'latest') },
      headers: await authHeaders(image!),
    });
    await showProgress(answer, quiet ? undefined : process.stdout);
  },
};
