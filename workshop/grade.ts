import { createHash, randomInt } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAlive } from '../chapters/01-processes/index.ts';
import { detectCgroups, openCgroup } from '../chapters/03-cgroups/index.ts';
import { atOnce } from './at-once.ts';
import type { Gap } from './gaps.ts';
import { CGROUP, judgeApart, LIMITS, type Limits } from './grade-sandbox.ts';
import { findSubmissions, layIn, referenceTree, withMade, type Submission } from './grade-submission.ts';
import type { Verdict } from './judge.ts';
import { ROOT } from './learner.ts';
import { readSources } from './sources.ts';
import { writeWhole } from './write-whole.ts';

/** One learner's gap, judged. */
export interface Mark {
  learner: string;
  gap: string;
  verdict: Verdict;
}

/** A class, judged. In the order of the submissions as given, and of the gaps. */
export interface Grades {
  seed: number;
  gaps: Pick<Gap, 'id' | 'name' | 'chapter'>[];
  learners: { name: string; marks: Mark[] }[];
}

export interface GradeOptions {
  paths: readonly string[];
  gaps: readonly Gap[];
  /** Where results are kept. */
  out: string;
  /** Without one: that of the run that is gone on with, or one by chance. */
  seed?: number;
  /** how many at once */
  jobs: number;
  limits?: Limits;
  /** Go on where a run with the same seed and the same reference stopped; true unless told. */
  resume?: boolean;
  signal?: AbortSignal;
  /** Called after each gap that has been judged. */
  onMark?: (mark: Mark, done: number, all: number) => void;
}

/**
 * Judges every gap of every submission. Each verdict is kept on disk as soon as it is there, so that a run that was interrupted goes on where it stopped.
 * @throws Refused for what is no submission, before anything is judged; Error "interrupted" when the signal came
 */
export async function grade(options: GradeOptions): Promise<Grades> {
  const { gaps, out, jobs, limits = LIMITS, signal } = options;
  sweep();
  const scratch = mkdtempSync(join(tmpdir(), `${CGROUP}-${process.pid}-`));
  try {
    const submissions = findSubmissions(await withMade(options.paths, scratch), scratch);
    mkdirSync(out, { recursive: true });
    const kept = openResults(out, options, referenceDigest(limits));
    const reference = referenceTree(scratch);
    const hidden = [ROOT, scratch, out, ...submissions.map(({ tree }) => tree)];
    const work = submissions.flatMap((submission) => gaps.map((gap) => ({ submission, gap })));
    const marks = new Map<string, Mark>();
    let done = 0;
    const judgeOne = async ({ submission, gap }: { submission: Submission; gap: Gap }): Promise<void> => {
      const laid = layIn(gap, submission);
      const verdict =
        'verdict' in laid
          ? laid.verdict
          : await kept.verdictOf(keyOf(gap.id, laid.file), () =>
              judgeApart(gap, laid.file, {
                seed: kept.seed,
                limits,
                reference,
                hidden,
                modules: join(ROOT, 'node_modules'),
                ...(signal && { signal }),
              }),
            );
      const mark: Mark = { learner: submission.name, gap: gap.id, verdict };
      marks.set(`${submission.name}\n${gap.id}`, mark);
      options.onMark?.(mark, ++done, work.length);
    };
    await atOnce(work, jobs, judgeOne);
    return {
      seed: kept.seed,
      gaps: gaps.map(({ id, name, chapter }) => ({ id, name, chapter })),
      learners: submissions.map(({ name }) => ({
        name,
        marks: gaps.map((gap) => marks.get(`${name}\n${gap.id}`)!),
      })),
    };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Takes away what a grader has left that was killed: its cgroups and folders bear its process id. */
function sweep(): void {
  const { hierarchies, unified } = detectCgroups();
  const tops = [...hierarchies.map(({ mountPoint }) => mountPoint), ...(unified ? [unified] : [])];
  const left = (folder: string): string[] =>
    readdirSync(folder).filter((name) => {
      const holder = new RegExp(`^${CGROUP}-(\\d+)-`).exec(name)?.[1];
      return holder !== undefined && !isAlive(Number(holder));
    });
  for (const name of new Set(tops.flatMap(left))) {
    openCgroup(`/${name}`).kill();
    openCgroup(`/${name}`).remove();
  }
  for (const name of left(tmpdir())) rmSync(join(tmpdir(), name), { recursive: true, force: true });
}

/** Same gap, same code, same seed: same verdict. So what two learners have alike, as the reference's solution, is judged once. */
const keyOf = (gap: string, file: string): string =>
  createHash('sha256').update(`${gap}\0${file}`).digest('hex');

const referenceDigest = (limits: Limits): string => {
  const hash = createHash('sha256').update(JSON.stringify(limits));
  for (const [file, source] of readSources(ROOT))
    if (!file.includes('/tests/')) hash.update(`${file}\0${source}\0`);
  return hash.digest('hex');
};

interface Results {
  seed: number;
  /** The verdict that is kept, or that is being found, or that `find` finds. */
  verdictOf(key: string, find: () => Promise<Verdict>): Promise<Verdict>;
}

/** `results.jsonl`: first a line that says what was judged with, then a line for each verdict. A torn last line is left out. */
function openResults(out: string, { seed, resume = true }: GradeOptions, reference: string): Results {
  const path = join(out, 'results.jsonl');
  const verdicts = new Map<string, Promise<Verdict>>();
  const [head, ...lines] =
    existsSync(path) && resume ? readFileSync(path, 'utf8').split('\n').map(parsed) : [];
  const before = head as { version?: number; seed: number; reference: string } | undefined;
  const same =
    before?.version === 1 && before.reference === reference && (seed === undefined || seed === before.seed);
  const kept = (same ? lines : []) as ({ key: string; verdict: Verdict } | undefined)[];
  const whole = kept.filter((line) => line !== undefined);
  for (const { key, verdict } of whole) verdicts.set(key, Promise.resolve(verdict));
  const state = { version: 1, seed: same ? before.seed : (seed ?? randomInt(2 ** 31)), reference };
  writeWhole(path, [state, ...whole].map((row) => `${JSON.stringify(row)}\n`).join(''));
  const found = async (key: string, find: () => Promise<Verdict>): Promise<Verdict> => {
    const verdict = await find();
    appendFileSync(path, `${JSON.stringify({ key, verdict })}\n`, { flush: true });
    return verdict;
  };
  return {
    seed: state.seed,
    verdictOf: (key, find) => {
      const known = verdicts.get(key) ?? found(key, find);
      verdicts.set(key, known);
      return known;
    },
  };
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
