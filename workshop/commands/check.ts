import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import chalk from 'chalk';
import { checkGap } from '../check.ts';
import { interruptible, natural, requireRoot } from '../command.ts';
import { gapsOf, type Gap } from '../gaps.ts';
import type { Verdict } from '../judge.ts';
import { takeAwayAfterDeadChecks } from '../leftovers.ts';
import { exercisesOf, MY, readState, requireTree, selectGaps, writeState } from '../learner.ts';
import { lockTree } from '../lock.ts';
import { progressBar } from '../progress-bar.ts';

/** `npm run check [02[.3]]`: judges the learner's gaps, and explains the first that is wrong. */
export const checkCommand = (): Command =>
  new Command('check')
    .description(
      'Check my work: all of it, a chapter (02) or a gap (02.3). Explains the first thing that is wrong.',
    )
    .argument('[gap]', 'a chapter or a gap')
    .option('--seed <number>', 'draw the same names and numbers as an earlier check', natural)
    .option('--json', 'print the verdicts as data')
    .action(async (which: string | undefined, options: { seed?: number; json?: true }) => {
      await interruptible(async (signal) => {
        const { passed } = await check(which, { ...options, signal });
        process.exitCode = passed ? 0 : 1;
      });
    });

export interface CheckRun {
  seed?: number;
  json?: true;
  /** What was found until it came is remembered and printed. */
  signal?: AbortSignal;
}

/** Checks and prints. Returns whether every gap passed. @throws Refused when not root, without my/, for an unknown gap, while another check runs */
export async function check(which: string | undefined, options: CheckRun): Promise<{ passed: boolean }> {
  requireRoot('check');
  requireTree();
  const { signal } = options;
  const gaps = await withExercises(selectGaps(which));
  using _lock = lockTree(MY);
  const taken = await takeAwayAfterDeadChecks();
  const seed = options.seed ?? randomInt(2 ** 31);
  const bar = progressBar(gaps.length);
  const results: Result[] = [];
  const print = (line: string): void => (options.json ? undefined : bar.print(line));
  print(chalk.dim(`seed ${seed}`));
  for (const line of taken) print(chalk.dim(`taken away, left by a check that was killed: ${line}`));
  try {
    for (const gap of gaps) {
      bar.at(results.length, `${gap.id} ${gap.name}`);
      const { printed, left, ...verdict } = await checkGap(MY, gap, { seed, ...(signal && { signal }) });
      if (signal?.aborted) break;
      results.push({ gap, verdict, printed });
      print(`${mark(verdict)} ${gap.id} ${gap.name}  ${chalk.dim(verdictOf(gap, verdict))}`);
      for (const line of left) print(chalk.dim(`    taken away, which it had left: ${line}`));
    }
  } finally {
    bar.end();
    remember(results);
  }
  const first =
    results.find(({ verdict }) => !['passed', 'not started'].includes(verdict.verdict)) ??
    results.find(({ verdict }) => verdict.verdict !== 'passed');
  if (options.json) {
    const rows = results.map(({ gap, verdict }) => ({
      ...verdict,
      gap: gap.id,
      name: gap.name,
      ...(neededBy(gap, verdict) && { needs: neededBy(gap, verdict) }),
    }));
    console.log(JSON.stringify({ seed, results: rows }, null, 2));
  } else if (first) console.log(`\n${explain(first.gap, first.verdict, first.printed)}`);
  else if (!signal?.aborted) console.log(chalk.green(`\nAll ${results.length} passed.`));
  return { passed: first === undefined };
}

interface Result {
  gap: Gap;
  verdict: Verdict;
  /** by the learner's code */
  printed: string;
}

async function withExercises(gaps: Gap[]): Promise<Gap[]> {
  const known = await Promise.all(
    gaps.map(async (gap) => (await exercisesOf(gap.chapter)).some((e) => e.gap === gap.id)),
  );
  return gaps.filter((_, i) => known[i]);
}

function remember(results: readonly Result[]): void {
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

/** The gap that is empty where this one's check came to it: this one's code, or its check, calls that. `undefined` when it is this one. */
function neededBy(gap: Gap, verdict: Verdict): string | undefined {
  if (verdict.verdict !== 'not started') return undefined;
  const [id] = verdict.gap.split(' ');
  return id === gap.id ? undefined : id;
}

function verdictOf(gap: Gap, verdict: Verdict): string {
  const needed = neededBy(gap, verdict);
  return needed === undefined ? verdict.verdict : `not started: it needs ${needed} first`;
}

/** Expected, observed, the likely cause, where to look, and the hint command. */
export function explain(gap: Gap, verdict: Verdict, printed = ''): string {
  const row = (label: string, text: string): string =>
    `  ${chalk.bold(label.padEnd(14))}${text.replaceAll('\n', `\n${' '.repeat(16)}`)}`;
  const lines = [chalk.bold(`${gap.id} ${gap.name}: ${verdictOf(gap, verdict)}`)];
  const needed = neededBy(gap, verdict);
  if (needed !== undefined)
    return [...lines, row('first', `npm run check ${needed}`), row('hint', `npm run hint ${needed}`)].join(
      '\n',
    );
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
  const said = printed.trim().split('\n').slice(-LAST_LINES).join('\n');
  if (said && verdict.verdict !== 'not started') lines.push(row('it printed', said));
  const where =
    verdict.verdict === 'error' && verdict.where ? verdict.where : `${gap.file}:${lineInMyTree(gap)}`;
  lines.push(row('where to look', `my/${where}`), row('hint', `npm run hint ${gap.id}`));
  return lines.join('\n');
}

/** How much of what the learner's code printed is shown. */
const LAST_LINES = 12;

/** A stub may have a line more above the gap than the reference: the import of what it throws. */
function lineInMyTree(gap: Gap): number {
  try {
    const source = readFileSync(join(MY, gap.file), 'utf8');
    return gapsOf(gap.file, source).find((mine) => mine.id === gap.id)?.line ?? gap.line;
  } catch {
    return gap.line; // the file is gone, or its markers are broken: the verdict says so
  }
}
