import { Command } from 'commander';
import { replaceBody, requireTree, selectGap, stubOf } from '../learner.ts';

/** `npm run reset 02.3`: gives the stub back. */
export const resetCommand = (): Command =>
  new Command('reset')
    .description('Give a gap its stub back; your code is kept beside the file.')
    .argument('<gap>', 'a gap: 02.3')
    .action((which: string) => {
      requireTree();
      const gap = selectGap(which);
      const kept = replaceBody(gap, stubOf(gap));
      console.log(`${gap.id} ${gap.name} is a stub again${kept ? `; what you had is in ${kept}` : ''}.`);
    });
