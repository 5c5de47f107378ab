import { CommandError, imagePath, messageOf, type CliCommand } from './cli-command.ts';
import { parseReference } from './cli-reference.ts';

export const tag: CliCommand = {
  name: 'tag',
  aliases: ['image tag'],
  usage: 'SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]',
  summary: 'Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE',
  operands: [2, 2],
  options: [],
  async run(api, [source, target]) {
    let name: ReturnType<typeof parseReference>;
    try {
      name = parseReference(target!);
    } catch (error) {
      throw new CommandError(
        `Error parsing reference: ${JSON.stringify(target)} is not a valid repository/tag: ${messageOf(error)}`,
        1,
        { cause: error },
      );
    }
    await api.json('POST', `${imagePath(source!)}/tag`, {
      query: { repo: name.repository, tag: name.tag ?? 'latest' },
    });
  },
};
