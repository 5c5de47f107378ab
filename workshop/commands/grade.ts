import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { interruptible, natural, positive, requireRoot } from '../command.ts';
import { grade, type Mark } from '../grade.ts';
import { LIMITS } from '../grade-sandbox.ts';
import { readWeights, table, writeReports } from '../grade-report.ts';
import { summaryOf } from '../grade-summary.ts';
import { exercisesOf, ROOT, selectGaps } from '../learner.ts';
import { progressBar } from '../progress-bar.ts';

interface Options {
  gaps?: string[];
  out: string;
  weights?: string;
  seed?: number;
  jobs: number;
  limit: number;
  resume: boolean;
  json?: true;
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
    .option('--json', 'print the grades as data')
    .action(async (paths: string[], options: Options) => {
      requireRoot('grade -- DIR...');
      const gaps = await gapsToJudge(options.gaps);
      const weights = options.weights === undefined ? undefined : readWeights(options.weights, gaps);
      const out = resolve(options.out);
      const progress = progressOn(process.stderr, gaps.length);
      await interruptible(async (signal) => {
        try {
          const grades = await grade({
            paths,
            gaps,
            out,
            jobs: options.jobs,
            limits: { ...LIMITS, seconds: options.limit },
            resume: options.resume,
            signal,
            onMark: progress.mark,
            ...(options.seed !== undefined && { seed: options.seed }),
          });
          progress.end();
          const files = writeReports(out, grades, weights);
          if (options.json) console.log(readFileSync(join(out, 'grades.json'), 'utf8').trimEnd());
          else console.log(`${table(grades, summaryOf(grades, weights))}\n\n${files.join('\n')}`);
        } finally {
          progress.end();
        }
      }, 'the same command goes on from here');
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
  let bar: ReturnType<typeof progressBar> | undefined;
  return {
    mark({ learner, verdict }: Mark, done: number, all: number): void {
      const count = counts.get(learner) ?? { done: 0, passed: 0 };
      counts.set(learner, count);
      count.done++;
      if (verdict.verdict === 'passed') count.passed++;
      if (to.isTTY) (bar ??= progressBar(all, to)).at(done, learner);
      else if (count.done === gapCount) to.write(`${learner}: ${count.passed} of ${gapCount} passed\n`);
    },
    end: (): void => bar?.end(),
  };
}
