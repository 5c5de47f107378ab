import { print, type CliCommand } from './cli-command.ts';
import { parseReference } from './cli-reference.ts';

interface CommitFlags {
  author?: string;
  change?: string[];
  message?: string;
  pause?: string;
}

export const commit: CliCommand<CommitFlags> = {
  name: 'commit',
  aliases: ['container commit'],
  usage: '[OPTIONS] CONTAINER [REPOSITORY[:TAG]]',
  summary: "Create a new image from a container's changes",
  operands: [1, 2],
  options: [
    { flags: '-a, --author <string>', help: 'Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")' },
    { flags: '-c, --change <list>', help: 'Apply Dockerfile instruction to the created image', list: true },
    { flags: '-m, --message <string>', help: 'Commit message' },
    { flags: '-p, --pause <bool>', help: 'Pause container during commit (default true)' },
  ],
  async run(api, [container, name], { author, change = [], message, pause = 'true' }) {
    const { repository = undefined, tag = undefined } = name === undefined ? {} : parseReference(name);
    const changes = change.map((one) => `changes=${encodeURIComponent(one)}`).join('&');
    const query = {
      container: container!,
      repo: repository,
      tag,
      author,
      comment: message,
      ...(pause === 'false' && { pause: '0' }),
    };
    const { Id } = await api.json<{ Id: string }>('POST', withChanges('/commit', changes, query), {
      body: {},
    });
    print(Id);
  },
};

/** A path with its query: `changes` may be there many times. */
export function withChanges(
  path: string,
  changes: string,
  query: Record<string, string | undefined>,
): string {
  const pairs = Object.entries(query)
    .filter(([, value]) => value !== undefined && value !== '')
    .map(([name, value]) => `${name}=${encodeURIComponent(value!)}`);
  return `${path}?${[...pairs, ...(changes ? [changes] : [])].join('&')}`;
}
