import { Command } from 'commander';
import { requireRoot } from '../command.ts';
import { MY, Refused, replaceBody, requireTree, selectGap, stubOf } from '../learner.ts';
import { takeAwayAfterDeadChecks, takeAwayAfterDeadDemos } from '../leftovers.ts';
import { lockTree } from '../lock.ts';

/** `npm run reset 02.3`: gives the stub back; `npm run reset -- --kernel`: takes away what a crashed attempt left. */
export const resetCommand = (): Command =>
  new Command('reset')
    .description(
      'Give a gap its stub back (your code is kept beside the file), or with --kernel take away what crashed checks and demos have left on the machine.',
    )
    .argument('[gap]', 'a gap: 02.3')
    .option('--kernel', 'take away mounts, processes, cgroups, links and folders that were left')
    .option('--json', 'print what was done as data')
    .action(async (which: string | undefined, options: { kernel?: true; json?: true }) => {
      if (which === undefined && !options.kernel)
        throw new Refused('name a gap, as in npm run reset 02.3, or give --kernel');
      const done: { gap?: string; kept?: string | null; taken?: string[] } = {};
      if (which !== undefined) {
        requireTree();
        const gap = selectGap(which);
        using _lock = lockTree(MY);
        const kept = replaceBody(gap, stubOf(gap));
        Object.assign(done, { gap: gap.id, kept: kept ?? null });
        if (!options.json)
          console.log(`${gap.id} ${gap.name} is a stub again${kept ? `; what you had is in ${kept}` : ''}.`);
      }
      if (options.kernel) {
        requireRoot('reset -- --kernel');
        done.taken = [...(await takeAwayAfterDeadChecks()), ...(await takeAwayAfterDeadDemos())];
        if (!options.json)
          console.log(
            done.taken.map((line) => `taken away: ${line}`).join('\n') ||
              'Nothing was left: the machine is clean.',
          );
      }
      if (options.json) console.log(JSON.stringify(done, null, 2));
    });
