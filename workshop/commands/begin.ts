import { Command } from 'commander';
import { begin } from '../begin.ts';
import { referenceGaps } from '../learner.ts';

/** `npm run begin`: makes my/, or what is missing of it, or brings it up to date. */
export const beginCommand = (): Command =>
  new Command('begin')
    .description(
      'Make my/, the tree that you work in: the whole workshop, with every gap a stub. Again after the workshop has changed: your work is moved over. Nothing of yours is lost.',
    )
    .option('--json', 'print what was done as data')
    .action((options: { json?: true }) => {
      const done = begin();
      if (options.json) return console.log(JSON.stringify(done, null, 2));
      const { made, updated, kept } = done;
      const gaps = referenceGaps();
      if (made.length > 0)
        console.log(`my/ is ready (${made.length} files made): ${gaps.length} gaps wait in it.`);
      if (updated.length > 0)
        console.log(
          `my/ is up to date: the workshop had changed ${updated.length} files. Your code is in their gaps as it was.`,
        );
      for (const path of kept)
        console.log(`  my/${path} is your file as it was: there was more in it than code in gaps.`);
      if (made.length + updated.length === 0) console.log('my/ is complete already: nothing was changed.');
      console.log(
        `The first gap is ${gaps[0]!.id} ${gaps[0]!.name}, in my/${gaps[0]!.file}. Type: npm run check`,
      );
    });
