import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import chalk from 'chalk';
import { MY, Refused, requireTree, selectGaps } from '../learner.ts';
import { check } from './check.ts';

/** `npm run watch [02[.3]]`: checks again whenever a file is saved. Polls: events do not cross a VM's shared folder. */
export const watchCommand = (): Command =>
  new Command('watch')
    .description('Check as I save, until Ctrl-C.')
    .argument('[gap]', 'a chapter or a gap')
    .action(async (which: string | undefined) => {
      requireTree();
      const files = [...new Set(selectGaps(which).map((gap) => join(MY, gap.file)))];
      const state = (): string =>
        files.map((file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0).join();
      for (let seen = ''; ; await sleep(300)) {
        if (state() === seen) continue;
        seen = state();
        if (process.stdout.isTTY) console.clear();
        await check(which, {}).catch((error: unknown) => {
          if (!(error instanceof Refused)) throw error;
          console.error(error.message);
        });
        console.log(chalk.dim('\nwaiting for a file to be saved (Ctrl-C ends)'));
      }
    });
