import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import chalk from 'chalk';
import { checkGap } from '../check.ts';
import { gapsOf, type Gap } from '../gaps.ts';
import type { Verdict } from '../judge.ts';
import { exercisesOf, MY, readState, Refused, requireTree, selectGaps, writeState } from '../learner.ts';
import { lockTree } from '../lock.ts';

/** `npm run check [02[.3]]`: judges the learner's gaps, and explains the first that is wrong. */
export const checkCommand = (): Command =>
  new Command('check')
    .description(
      'Check my work: all of it, a chapter (02) or a gap (02.3). Explains the first thing that is wrong.',
    )
    .argument('[gap]', 'a chapter or a gap')
    .option('--seed <number>', 'draw the same names and numbers as an earlier check', wholeNumber)
    .option('--json', 'print the verdicts as data')
    .action(async (which: string | undefined, options: { seed?: number; json?: true }) => {
      const { passed } = await check(which, options);
      process.exitCode = passed ? 0 : 1;
    });

/** Checks and prints. Returns whether every gap passed. @throws Refused when not root, without my/, for an unknown gap, while another check runs */
export async function check(
  which: string | undefined,
  options: { seed?: number; json?: true },
): Promise<{ passed: boolean }> {
  if (process.getuid?.() !== 0)
    throw new Refused('checks judge the kernel, as root. Type: sudo npm run check');
  requireTree();
  const gaps = await withExercises(selectGaps(which));
  using _lock = lockTree(MY);
  const seed = options.seed ?? randomInt(2 ** 31);
  const results: { gap: Gap; verdict: Verdict }[] = [];
  if (!options.json) console.log(chalk.dim(`seed ${seed}`));
  for (const gap of gaps) {
    const { printed: _printed, ...verdict } = await checkGap(MY, gap, { seed });
    results.push({ gap, verdict });
    if (!options.json) console.log(`${mark(verdict)} ${gap.id} ${gap.name}  ${chalk.dim(verdict.verdict)}`);
  }
  remember(results);
  const first =
    results.find(({ verdict }) => !['passed', 'not started'].includes(verdict.verdict)) ??
    results.find(({ verdict }) => verdict.verdict !== 'passed');
  if (options.json)
    console.log(
      JSON.stringify(
        { seed, results: results.map(({ gap, verdict }) => ({ gap: gap.id, name: gap.name, ...verdict })) },
        null,
        2,
      ),
    );
  else if (first) console.log(`\n${explain(first.gap, first.verdict)}`);
  else console.log(chalk.green(`\nAll ${results.length} passed.`));
  return { passed: first === undefined };
}

async function withExercises(gaps: Gap[]): Promise<Gap[]> {
  const known = await Promise.all(
    gaps.map(async (gap) => (await exercisesOf(gap.chapter)).some((e) => e.gap === gap.id)),
  );
  return gaps.filter((_, i) => known[i]);
}

function remember(results: { gap: Gap; verdict: Verdict }[]): void {
  const state = readState();
  for (const { gap, verdict } of results)
    if (verdict.verdict === 'passed') state.passed[gap.id] ??= new Date().toISOString();
    else delete state.passed[gap.id];
  writeState(state);
}

function mark({ verdict }: Verdict): string {
  if (verdict === 'passed') return chalk.green('✓');
  return verdict === 'not started'
    ? chalk.dim('·')
    : verdict === 'cannot check'
      ? chalk.yellow('?')
      : chalk.red('✗');
}

/** Expected, observed, the likely cause, where to look, and the hint command. */
export function explain(gap: Gap, verdict: Verdict): string {
  const row = (label: string, text: string): string =>
    `  ${chalk.bold(label.padEnd(14))}${text.replaceAll('\n', `\n${' '.repeat(16)}`)}`;
  const lines = [chalk.bold(`${gap.id} ${gap.name}: ${verdict.verdict}`)];
  if (verdict.verdict === 'wrong')
    lines.push(
      row('expected', verdict.expected),
      row('observed', verdict.observed),
      row('likely cause', verdict.cause),
    );
  if (verdict.verdict === 'error') {
    lines.push(row('error', verdict.message));
    if (verdict.cause) lines.push(row('likely cause', verdict.cause));
  }
  if (verdict.verdict === 'cannot check') lines.push(row('why', verdict.why), row('remedy', verdict.remedy));
  const where =
    verdict.verdict === 'error' && verdict.where ? verdict.where : `${gap.file}:${lineInMyTree(gap)}`;
  lines.push(row('where to look', `my/${where}`), row('hint', `npm run hint ${gap.id}`));
  return lines.join('\n');
}

/** A stub may have a line more above the gap than the reference: the import of what it throws. */
function lineInMyTree(gap: Gap): number {
  const source = readFileSync(join(MY, gap.file), 'utf8');
  return gapsOf(gap.file, source).find((mine) => mine.id === gap.id)?.line ?? gap.line;
}

function wholeNumber(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError('give a whole number.');
  return Number(text);
}
