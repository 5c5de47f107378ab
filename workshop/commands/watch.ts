import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import chalk from 'chalk';
import { interruptible, requireRoot } from '../command.ts';
import { MY, Refused, requireTree, selectGaps } from '../learner.ts';
import { check } from './check.ts';

/** `npm run watch [02[.3]]`: checks again whenever a file is saved. Polls: events do not cross a VM's shared folder. */
export const watchCommand = (): Command =>
  new Command('watch')
    .description('Check as I save, until Ctrl-C.')
    .argument('[gap]', 'a chapter or a gap')
    .option('--json', 'print each check’s verdicts as data')
    .action(async (which: string | undefined, options: { json?: true }) => {
      requireRoot('watch');
      requireTree();
      const files = [...new Set(selectGaps(which).map((gap) => join(MY, gap.file)))];
      const state = (): string =>
        files.map((file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0).join();
      await interruptible(async (signal) => {
        let refused = '';
        for (let seen = ''; !signal.aborted; await sleep(300, undefined, { signal })) {
          if (state() === seen) continue;
          seen = state();
          if (process.stdout.isTTY && !options.json && !refused) console.clear();
          try {
            await check(which, { ...options, signal });
            refused = '';
            if (!options.json) console.log(chalk.dim('\nwaiting for a file to be saved (Ctrl-C ends)'));
          } catch (error) {
            if (!(error instanceof Refused)) throw error;
            // Another check runs, or a marker is broken just now: tried again until it is over, said once.
            if (error.message !== refused) console.error((refused = error.message));
            seen = '';
            await sleep(1000, undefined, { signal });
          }
        }
      });
    });
