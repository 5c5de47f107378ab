import { Command } from 'commander';
import chalk from 'chalk';
import { exerciseOf, readState, requireTree, selectGap, writeState } from '../learner.ts';

/** `npm run hint 02.3`: the next of three hints. It is remembered which were shown. */
export const hintCommand = (): Command =>
  new Command('hint')
    .description('The next of three hints for a gap: the concept, the place, nearly the code.')
    .argument('<gap>', 'a gap: 02.3')
    .action(async (which: string) => {
      requireTree();
      const gap = selectGap(which);
      const exercise = await exerciseOf(gap);
      const state = readState();
      const shown = Math.min((state.hints[gap.id] ?? 0) + 1, exercise.hints.length);
      writeState({ ...state, hints: { ...state.hints, [gap.id]: shown } });
      console.log(`${chalk.bold(`${gap.id} ${gap.name}`)}: ${exercise.task}\n`);
      exercise.hints.slice(0, shown).forEach((hint, i) => console.log(`${chalk.bold(`${i + 1}.`)} ${hint}`));
      if (shown === exercise.hints.length)
        console.log(chalk.dim(`\nThat was the last one. npm run solution ${gap.id} shows the reference.`));
    });
