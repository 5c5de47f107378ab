import { Command } from 'commander';
import chalk from 'chalk';
import { exerciseOf, readState, requireTree, selectGap, writeState } from '../learner.ts';

/** `npm run hint 02.3`: the next of three hints. It is remembered which were shown. */
export const hintCommand = (): Command =>
  new Command('hint')
    .description('The next of three hints for a gap: the concept, the place, nearly the code.')
    .argument('<gap>', 'a gap: 02.3')
    .option('--json', 'print the task and the hints as data')
    .action(async (which: string, options: { json?: true }) => {
      requireTree();
      const gap = selectGap(which);
      const { task, hints } = await exerciseOf(gap);
      const state = readState();
      const shown = Math.min((state.hints[gap.id] ?? 0) + 1, hints.length);
      writeState({ ...state, hints: { ...state.hints, [gap.id]: shown } });
      const told = hints.slice(0, shown);
      if (options.json)
        return console.log(
          JSON.stringify({ gap: gap.id, name: gap.name, task, hints: told, of: hints.length }, null, 2),
        );
      console.log(`${chalk.bold(`${gap.id} ${gap.name}`)}: ${task}\n`);
      told.forEach((hint, i) => console.log(`${chalk.bold(`${i + 1}.`)} ${hint}`));
      console.log(
        chalk.dim(
          shown === hints.length
            ? `\nThat was the last one. npm run solution ${gap.id} shows the reference.`
            : `\n${shown} of ${hints.length}. Again for the next one.`,
        ),
      );
    });
