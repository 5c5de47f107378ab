import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import chalk from 'chalk';
import { grade, type Mark } from '../grade.ts';
import { LIMITS } from '../grade-sandbox.ts';
import { readWeights, table, writeReports } from '../grade-report.ts';
import { summaryOf } from '../grade-summary.ts';
import { exercisesOf, Refused, ROOT, selectGaps } from '../learner.ts';

interface Options {
  gaps?: string[];
  out: string;
  weights?: string;
  seed?: number;
  jobs: number;
  limit: number;
  resume: boolean;
}

/** `npm run grade DIR...`: many submissions, one report. */
export const gradeCommand = (): Command =>
  new Command('grade')
    .description(
      'Judge many submissions (folders or git repositories, each a learner’s my/), each gap apart from the machine and from the others; write a report.',
    )
    .argument('<dir...>', 'submissions')
    .option('--out <dir>', 'where results and reports go', join(ROOT, 'dist', 'grade'))
    .option('--gaps <list>', 'only these gaps or chapters: 01.1,02', (text: string) => text.split(','))
    .option('--weights <file>', 'points, as JSON: {"01": 1, "02.3": 5}')
    .option('--seed <number>', 'draw the same names and numbers as an earlier run', natural)
    .option('--jobs <number>', 'how many at once', positive, Math.min(4, availableParallelism()))
    .option('--limit <seconds>', 'the longest that a check may take', positive, LIMITS.seconds)
    .option('--no-resume', 'judge everything anew, also what an interrupted run has judged')
    .action(async (paths: string[], options: Options) => {
      if (process.getuid?.() !== 0)
        throw new Refused('checks judge the kernel, as root. Type: sudo npm run grade -- DIR...');
      const gaps = await gapsToJudge(options.gaps);
      const weights = options.weights === undefined ? undefined : readWeights(options.weights, gaps);
      const out = resolve(options.out);
      const stop = new AbortController();
      const onSignal = (): void => stop.abort();
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, onSignal);
      const progress = progressOn(process.stderr, gaps.length);
      try {
        const grades = await grade({
          paths,
          gaps,
          out,
          jobs: options.jobs,
          limits: { ...LIMITS, seconds: options.limit },
          resume: options.resume,
          signal: stop.signal,
          onMark: progress.mark,
          ...(options.seed !== undefined && { seed: options.seed }),
        });
        progress.end();
        const files = writeReports(out, grades, weights);
        console.log(`${table(grades, summaryOf(grades, weights))}\n\n${files.join('\n')}`);
      } catch (error) {
        progress.end();
        if (!stop.signal.aborted) throw error;
        console.error('interrupted: the same command goes on from here');
        process.exitCode = 130;
      } finally {
        for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, onSignal);
      }
    });

async function gapsToJudge(which: string[] | undefined) {
  const wanted = new Set((which ?? [undefined]).flatMap((each) => selectGaps(each).map(({ id }) => id)));
  const gaps = selectGaps(undefined).filter(({ id }) => wanted.has(id));
  const known = await Promise.all(
    gaps.map(async ({ id, chapter }) => (await exercisesOf(chapter)).some((exercise) => exercise.gap === id)),
  );
  return gaps.filter((_, i) => known[i]);
}

/** A bar on a terminal; elsewhere a line for each learner who is done. */
function progressOn(to: NodeJS.WriteStream, gapCount: number) {
  const counts = new Map<string, { done: number; passed: number }>();
  return {
    mark({ learner, verdict }: Mark, done: number, all: number): void {
      const count = counts.get(learner) ?? { done: 0, passed: 0 };
      counts.set(learner, count);
      count.done++;
      if (verdict.verdict === 'passed') count.passed++;
      if (to.isTTY) {
        const full = Math.round((done / all) * 30);
        to.write(
          `\r\x1b[K${chalk.green('█'.repeat(full))}${'░'.repeat(30 - full)} ${done} of ${all}  ${learner.slice(0, 30)}`,
        );
      } else if (count.done === gapCount) to.write(`${learner}: ${count.passed} of ${gapCount} passed\n`);
    },
    end: (): void => void (to.isTTY && to.write('\r\x1b[K')),
  };
}

function natural(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError('give a whole number.');
  return Number(text);
}

function positive(text: string): number {
  if (natural(text) < 1) throw new InvalidArgumentError('give a number of 1 or more.');
  return Number(text);
}
