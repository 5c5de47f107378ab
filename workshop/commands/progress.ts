import { Command } from 'commander';
import chalk from 'chalk';
import { learnersBody, readState, referenceGaps, requireTree } from '../learner.ts';

/** `npm run progress`: every gap, and how far it is. */
export const progressCommand = (): Command =>
  new Command('progress')
    .description('Where I am: every gap, as the last check found it.')
    .option('--json', 'print it as data')
    .action((options: { json?: true }) => {
      requireTree();
      const { passed, hints, solutions } = readState();
      const rows = referenceGaps().map((gap) => ({
        gap: gap.id,
        name: gap.name,
        chapter: gap.chapter,
        state: passed[gap.id]
          ? 'passed'
          : learnersBody(gap).includes('new NotImplemented(')
            ? 'not started'
            : 'begun',
        hints: hints[gap.id] ?? 0,
        solution: solutions.includes(gap.id),
      }));
      if (options.json) return console.log(JSON.stringify(rows, null, 2));
      let chapter = '';
      for (const row of rows) {
        if (row.chapter !== chapter) console.log(chalk.bold(`\n${(chapter = row.chapter)}`));
        const mark = { passed: chalk.green('✓'), begun: chalk.yellow('…'), 'not started': chalk.dim('·') }[
          row.state
        ];
        const helped = [row.hints > 0 && `${row.hints} of 3 hints`, row.solution && 'solution seen']
          .filter(Boolean)
          .join(', ');
        console.log(`  ${mark} ${row.gap} ${row.name.padEnd(26)} ${chalk.dim(helped)}`);
      }
      console.log(`\n${rows.filter((row) => row.state === 'passed').length} of ${rows.length} passed.`);
    });
