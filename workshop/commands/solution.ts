import { Command } from 'commander';
import {
  readState,
  referenceGaps,
  Refused,
  replaceBody,
  requireTree,
  selectGap,
  writeState,
} from '../learner.ts';

/** `npm run solution 02.3`: shows the reference's code, or puts it into my/. Both are remembered. */
export const solutionCommand = (): Command =>
  new Command('solution')
    .description(
      'Show what the reference has in a gap; --apply puts it into my/ (your own code is kept beside the file).',
    )
    .argument('[gap]', 'a gap: 02.3')
    .option('--apply', 'put it into my/')
    .option('--all', 'every gap')
    .action((which: string | undefined, options: { apply?: true; all?: true }) => {
      if ((which === undefined) === (options.all === undefined))
        throw new Refused('name a gap, as in npm run solution 02.3, or give --all');
      requireTree();
      const gaps = which === undefined ? referenceGaps() : [selectGap(which)];
      const state = readState();
      for (const gap of gaps) {
        if (options.apply) {
          const kept = replaceBody(gap, gap.body);
          console.log(
            `${gap.id} ${gap.name}: filled in my/${gap.file}${kept ? `; what you had is in ${kept}` : ''}`,
          );
        } else console.log(`// ${gap.id} ${gap.name}, ${gap.file}:${gap.line}\n${gap.body}\n`);
        if (!state.solutions.includes(gap.id)) state.solutions.push(gap.id);
      }
      writeState(state);
    });
