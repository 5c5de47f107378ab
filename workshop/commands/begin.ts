import { Command } from 'commander';
import { begin, referenceGaps } from '../learner.ts';

/** `npm run begin`: makes my/, or what is missing of it. */
export const beginCommand = (): Command =>
  new Command('begin')
    .description(
      'Make my/, the tree that you work in: the whole workshop, with every gap a stub. Never overwrites work.',
    )
    .action(() => {
      const made = begin();
      const gaps = referenceGaps();
      if (made.length === 0) console.log('my/ is complete already: nothing was changed.');
      else console.log(`my/ is ready (${made.length} files made): ${gaps.length} gaps wait in it.`);
      console.log(
        `The first one is ${gaps[0]!.id} ${gaps[0]!.name}, in my/${gaps[0]!.file}. Type: npm run check`,
      );
    });
