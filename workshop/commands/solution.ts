import { Command } from 'commander';
import chalk from 'chalk';
import {
  MY,
  readState,
  referenceGaps,
  Refused,
  replaceBody,
  requireTree,
  selectGap,
  writeState,
} from '../learner.ts';
import { lockTree } from '../lock.ts';

/** `npm run solution 02.3`: shows the reference's code, or puts it into my/. Both are remembered. */
export const solutionCommand = (): Command =>
  new Command('solution')
    .description(
      'Show what the reference has in a gap; --apply puts it into my/ (your own code is kept beside the file).',
    )
    .argument('[gap]', 'a gap: 02.3')
    .option('--apply', 'put it into my/')
    .option('--all', 'every gap')
    .option('--json', 'print it as data')
    .action((which: string | undefined, options: { apply?: true; all?: true; json?: true }) => {
      if ((which === undefined) === (options.all === undefined))
        throw new Refused('name a gap, as in npm run solution 02.3, or give --all');
      requireTree();
      const gaps = which === undefined ? referenceGaps() : [selectGap(which)];
      using _lock = options.apply ? lockTree(MY) : undefined;
      const rows: object[] = [];
      const state = readState();
      const print = (line: string): void => (options.json ? undefined : console.log(line));
      for (const gap of gaps) {
        const kept = options.apply && replaceBody(gap, gap.body);
        rows.push({
          gap: gap.id,
          name: gap.name,
          file: gap.file,
          line: gap.line,
          code: gap.body,
          ...(options.apply && { kept: kept ?? null }),
        });
        if (options.apply)
          print(
            `${gap.id} ${gap.name}: filled in my/${gap.file}${kept ? `; what you had is in ${kept}` : ''}`,
          );
        else print(`${chalk.dim(`// ${gap.id} ${gap.name}, ${gap.file}:${gap.line}`)}\n${gap.body}\n`);
        if (!state.solutions.includes(gap.id)) state.solutions.push(gap.id);
        // One at a time: interrupted, it is remembered as far as it came.
        writeState(state);
      }
      if (options.json) console.log(JSON.stringify(rows, null, 2));
    });
