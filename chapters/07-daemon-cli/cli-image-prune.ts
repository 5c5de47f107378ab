import { createInterface } from 'node:readline/promises';
import { print, type CliCommand } from './cli-command.ts';
import { decimalSize } from './cli-format.ts';
import { filtersQuery, parseFilter } from './cli-listing.ts';

interface PruneFlags {
  all?: boolean;
  filter?: [string, string][];
  force?: boolean;
}

export const imagePrune: CliCommand<PruneFlags> = {
  name: 'image prune',
  usage: '[OPTIONS]',
  summary: 'Remove unused images',
  operands: [0, 0],
  options: [
    { flags: '-a, --all', help: 'Remove all unused images, not just dangling ones' },
    {
      flags: '--filter <filter>',
      help: 'Provide filter values (e.g. "until=<timestamp>")',
      parse: parseFilter,
      list: true,
    },
    { flags: '-f, --force', help: 'Do not prompt for confirmation' },
  ],
  async run(api, _operands, { all = false, filter = [], force }) {
    const what = all ? 'all images without at least one container associated to them' : 'all dangling images';
    // Who does not agree has what they want: that is no failure.
    if (
      !force &&
      !(await confirmed(`WARNING! This will remove ${what}.\nAre you sure you want to continue?`))
    )
      return;
    const { ImagesDeleted, SpaceReclaimed } = await api.json<Pruned>('POST', '/images/prune', {
      query: { filters: filtersQuery([...filter, ['dangling', String(!all)]]) },
    });
    if (ImagesDeleted?.length) {
      print('Deleted Images:');
      for (const { Deleted, Untagged } of ImagesDeleted)
        print(Deleted === undefined ? `untagged: ${Untagged}` : `deleted: ${Deleted}`);
      print('');
    }
    print(`Total reclaimed space: ${decimalSize(SpaceReclaimed, 4)}`);
  },
};

interface Pruned {
  ImagesDeleted: { Deleted?: string; Untagged?: string }[] | null;
  /** bytes */
  SpaceReclaimed: number;
}

/** Whether the answer on standard input is yes. The end of the input is none. */
async function confirmed(question: string): Promise<boolean> {
  process.stdout.write(`${question} [y/N] `);
  const lines = createInterface({ input: process.stdin });
  try {
    for await (const line of lines) return line.trim().toLowerCase() === 'y';
    return false;
  } finally {
    lines.close();
    process.stdin.unref?.();
  }
}
