import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { chapterSlugs } from '../lesson.ts';
import { MY, Refused, ROOT } from '../learner.ts';

/** `npm run demo 02`: a chapter's demo, on the learner's code, or on the reference. */
export const demoCommand = (): Command =>
  new Command('demo')
    .description('Run a chapter’s demo on my code, or with --reference on the workshop’s own.')
    .argument('<chapter>', 'a chapter: 02')
    .option('--reference', 'on the reference')
    .option('--step', 'wait for Enter between steps')
    .option('--json', 'print what was shown as data')
    .action((which: string, options: { reference?: true; step?: true; json?: true }) => {
      const slug = chapterSlugs().find(
        (name) => name === which || name.startsWith(`${which.padStart(2, '0')}-`),
      );
      if (!slug) throw new Refused(`there is no chapter ${which}. There are: ${chapterSlugs().join(', ')}`);
      const tree = options.reference || !existsSync(MY) ? ROOT : MY;
      const flags = [options.step && '--step', options.json && '--json'].filter(
        (flag) => typeof flag === 'string',
      );
      const demo = join(tree, 'chapters', slug, 'demo.ts');
      const { status } = spawnSync(
        process.execPath,
        ['--import', import.meta.resolve('tsx'), demo, ...flags],
        { stdio: 'inherit' },
      );
      process.exitCode = status ?? 1;
    });
