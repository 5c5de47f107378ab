import { DaemonError } from './api-client.ts';
import { eachName, imagePath, warn, type CliCommand } from './cli-command.ts';

interface RmiFlags {
  force?: boolean;
  noPrune?: boolean;
}

export const rmi: CliCommand<RmiFlags> = {
  name: 'rmi',
  aliases: ['image rm', 'image remove'],
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  summary: 'Remove one or more images',
  operands: [1, Infinity],
  options: [
    { flags: '-f, --force', help: 'Force removal of the image' },
    { flags: '--no-prune', help: 'Do not delete untagged parents' },
  ],
  run: (api, names, { force, noPrune }) =>
    eachName(names, async (name) => {
      try {
        const removed = await api.json<{ Untagged?: string; Deleted?: string }[]>('DELETE', imagePath(name), {
          query: { force, noprune: noPrune },
        });
        return removed
          .map((r) => (r.Deleted ? `Deleted: ${r.Deleted}` : `Untagged: ${r.Untagged}`))
          .join('\n');
      } catch (error) {
        if (!(force && error instanceof DaemonError && error.status === 404)) throw error;
        warn(error.message);
        return null;
      }
    }),
};
