import { randomInt } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import chalk from 'chalk';
import { checkGap } from '../check.ts';
import { withGap, type Gap } from '../gaps.ts';
import { begin, exerciseOf, referenceGaps, Refused, ROOT, selectGaps, stubOf } from '../learner.ts';

/** `npm run prove`: shows of every gap that its exercise can be trusted. */
export const proveCommand = (): Command =>
  new Command('prove')
    .description(
      'Show for every gap: the stub is not started, the reference passes, each wrong answer fails with its own diagnosis.',
    )
    .argument('[gap]', 'a chapter or a gap')
    .option('--seed <number>', 'draw the same names and numbers as an earlier run', Number)
    .action(async (which: string | undefined, options: { seed?: number }) => {
      if (process.getuid?.() !== 0)
        throw new Refused('checks judge the kernel, as root. Type: sudo npm run prove');
      const seed = options.seed ?? randomInt(2 ** 31);
      const gaps = selectGaps(which);
      const tree = mkdtempSync(join(ROOT, 'node_modules', '.prove-'));
      const problems: string[] = [];
      try {
        begin(tree);
        for (const gap of referenceGaps()) fill(tree, gap, gap.body); // a gap is judged with the others filled
        console.log(`${'gap'.padEnd(34)}lines  hints  wrong answers caught   ${chalk.dim(`seed ${seed}`)}`);
        for (const gap of gaps) problems.push(...(await proveGap(tree, gap, seed)));
      } finally {
        rmSync(tree, { recursive: true, force: true });
      }
      for (const problem of problems) console.log(`${chalk.red('✗')} ${problem}`);
      console.log(
        problems.length === 0
          ? chalk.green(`${gaps.length} gaps proven.`)
          : chalk.red(`${problems.length} problems.`),
      );
      process.exitCode = problems.length === 0 && gaps.length > 0 ? 0 : 1;
    });

async function proveGap(tree: string, gap: Gap, seed: number): Promise<string[]> {
  const exercise = await exerciseOf(gap);
  const problems: string[] = [];
  const verdictOf = async (code: string) => {
    fill(tree, gap, code);
    return checkGap(tree, gap, { seed });
  };
  const expect = (what: string, holds: boolean, seen: unknown): void => {
    if (!holds) problems.push(`${gap.id} ${gap.name}: ${what}, but: ${JSON.stringify(seen)}`);
  };
  const stub = await verdictOf(stubOf(gap));
  expect(
    'the stub is not started',
    stub.verdict === 'not started' && stub.gap === `${gap.id} ${gap.name}`,
    stub,
  );
  let caught = 0;
  for (const { mistake, code, diagnosis } of exercise.wrong) {
    const found = await verdictOf(code);
    const right = found.verdict === 'wrong' && found.cause.includes(diagnosis);
    if (right) caught++;
    expect(`the mistake "${mistake}" gets its diagnosis`, right, found);
  }
  expect('there are at least three wrong answers', exercise.wrong.length >= 3, exercise.wrong.length);
  const reference = await verdictOf(gap.body);
  expect('the reference passes', reference.verdict === 'passed', reference);
  const hints = exercise.hints.filter((hint) => hint.trim().length > 20).length;
  expect('there are three hints', hints === 3, hints);
  const mark = problems.length === 0 ? chalk.green('✓') : chalk.red('✗');
  console.log(
    `${mark} ${`${gap.id} ${gap.name}`.padEnd(32)}${String(gap.lines).padStart(5)}  ${String(hints).padStart(5)}  ${caught} of ${exercise.wrong.length}`,
  );
  return problems;
}

function fill(tree: string, gap: Gap, code: string): void {
  const path = join(tree, gap.file);
  writeFileSync(path, withGap(gap.file, readFileSync(path, 'utf8'), gap.id, code));
}
