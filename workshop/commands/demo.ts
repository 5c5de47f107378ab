import { existsSync } from 'node:fs';
import { Command } from 'commander';
import { pressEnter, runInForeground } from '../../chapters/01-processes/index.ts';
import { demoParts, type DemoPart } from '../demos.ts';
import { chapterSlugs } from '../lesson.ts';
import { MY, Refused, ROOT } from '../learner.ts';

interface Options {
  reference?: true;
  step?: true;
  json?: true;
}

/** `npm run demo 02`: a chapter's demo, on the learner's code, or on the reference. */
export const demoCommand = (): Command =>
  new Command('demo')
    .description('Run a chapter’s demo on my code, or with --reference on the workshop’s own.')
    .argument('<chapter>', 'a chapter: 02')
    .argument('[part]', 'a part of its demo, where that has several: memory; first for demo.ts')
    .option('--reference', 'on the reference')
    .option('--step', 'wait for Enter between steps')
    .option('--json', 'print what was shown as data: a JSON document for each part')
    .action(async (which: string, part: string | undefined, options: Options) => {
      const slug = chapterSlugs().find(
        (name) => name === which || name.startsWith(`${which.padStart(2, '0')}-`),
      );
      if (!slug) throw new Refused(`there is no chapter ${which}. There are: ${chapterSlugs().join(', ')}`);
      const all = demoParts(slug, options.reference || !existsSync(MY) ? ROOT : MY);
      process.exitCode = await runParts(chosen(all, part, slug), options);
    });

/** @throws Refused when there is no such part */
function chosen(all: DemoPart[], part: string | undefined, slug: string): DemoPart[] {
  const shown = ({ name }: DemoPart): string => name || 'first';
  const parts = part === undefined ? all : all.filter((each) => shown(each) === part);
  if (parts.length === 0)
    throw new Refused(`the demo of ${slug} has no part ${part}. There are: ${all.map(shown).join(', ')}`);
  return parts;
}

/** Runs one part after the other, and returns the worst of their statuses. The first that a signal ends is the last. */
async function runParts(parts: DemoPart[], { step, json }: Options): Promise<number> {
  let worst = 0;
  for (const [i, { file }] of parts.entries()) {
    if (i > 0 && !json) process.stdout.write('\n');
    if (i > 0 && step) await pressEnter('the next part');
    const flags = [...(step ? ['--step'] : []), ...(json ? ['--json'] : [])];
    const status = await runInForeground(['--import', import.meta.resolve('tsx'), file, ...flags]);
    worst = Math.max(worst, status);
    if (status > 128) break;
  }
  return worst;
}
