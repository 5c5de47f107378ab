import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import chalk from 'chalk';
import { atOnce } from '../at-once.ts';
import { begin } from '../begin.ts';
import { ROOT, selectGaps } from '../learner.ts';
import { interruptible, natural, positive, requireRoot } from '../command.ts';
import { fillAll, proveGap, type Proof } from '../proof.ts';
import { progressBar } from '../progress-bar.ts';

/** `npm run prove`: shows of every gap that its exercise can be trusted. */
export const proveCommand = (): Command =>
  new Command('prove')
    .description(
      'Show for every gap: the stub is not started, the reference passes, each wrong answer fails with its own diagnosis, and nothing is left in the kernel.',
    )
    .argument('[gap]', 'a chapter or a gap')
    .option('--seed <number>', 'draw the same names and numbers as an earlier run', natural)
    .option('--jobs <number>', 'how many at once', positive, Math.min(4, availableParallelism()))
    .option('--json', 'print the table as data')
    .action(async (which: string | undefined, options: { seed?: number; jobs: number; json?: true }) => {
      requireRoot('prove');
      const seed = options.seed ?? randomInt(2 ** 31);
      const gaps = selectGaps(which);
      const start = Date.now();
      const proofs: Proof[] = [];
      let printed = 0;
      const bar = progressBar(gaps.length);
      if (!options.json)
        console.log(`${'gap'.padEnd(34)}lines  hints  wrong answers caught   ${chalk.dim(`seed ${seed}`)}`);
      await interruptible(async (signal) => {
        const trees: string[] = [];
        try {
          await atOnce(gaps, options.jobs, async (gap, worker) => {
            if (!trees[worker]) {
              // A gap is judged with the others filled. Each worker has a tree of its own.
              trees[worker] = mkdtempSync(join(ROOT, 'node_modules', '.prove-'));
              begin(trees[worker]);
              fillAll(trees[worker]);
            }
            bar.at(proofs.length, `${gap.id} ${gap.name}`);
            const proof = await proveGap(trees[worker], gap, seed, signal);
            proofs.push(proof);
            // In the order of the gaps, also when a later one is ready first.
            for (let next; (next = proofs.find(({ gap }) => gap === gaps[printed]?.id)); printed++)
              if (!options.json) bar.print(row(next));
          });
        } finally {
          bar.end();
          for (const tree of trees) rmSync(tree, { recursive: true, force: true });
        }
      });
      const problems = proofs.flatMap((proof) => proof.problems);
      if (options.json) console.log(JSON.stringify({ seed, gaps: proofs }, null, 2));
      else {
        for (const problem of problems) console.log(`${chalk.red('✗')} ${problem}`);
        const seconds = Math.round((Date.now() - start) / 1000);
        console.log(
          problems.length === 0
            ? chalk.green(`${gaps.length} gaps proven in ${seconds} s: ${sum(proofs)}.`)
            : chalk.red(`${problems.length} problems.`),
        );
      }
      process.exitCode = problems.length === 0 && proofs.length > 0 ? 0 : 1;
    });

function row({ gap, name, lines, hints, wrong, caught, problems }: Proof): string {
  const mark = problems.length === 0 ? chalk.green('✓') : chalk.red('✗');
  return `${mark} ${`${gap} ${name}`.padEnd(32)}${String(lines).padStart(5)}  ${String(hints).padStart(5)}  ${caught} of ${wrong}`;
}

function sum(proofs: readonly Proof[]): string {
  const [lines, caught] = [
    proofs.reduce((all, { lines }) => all + lines, 0),
    proofs.reduce((all, { caught }) => all + caught, 0),
  ];
  return `${lines} lines to write, ${caught} wrong answers caught`;
}
