import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Report } from './images-worker.ts';

export const summary =
  'mutated layers, archives, manifests, registries, Dockerfiles, references: 100,000 (--count N --seed N --case N)';

const USAGE = `npm run fuzz -- images [--count N] [--seed N] [--case N] [--workers N]
  --count N    how many cases (100000)
  --seed N     the same cases again (by chance)
  --case N     this one alone; with --seed
  --workers N  how many at a time`;

/** A case takes milliseconds; one that says nothing for so long hangs. */
const PATIENCE = 20_000;
/** What a worker may have taken up at its peak, whatever it was given. Megabytes; Node itself and tsx are 150 of them. */
const MEMORY = 400;

interface Result {
  wrong: string[];
  taken: Map<string, number>;
  refused: Map<string, number>;
  peak: number;
}

/** Tries cases and says which went wrong. @returns 0 when nothing crashed, hung, reached outside or was left */
export async function run(args: string[]): Promise<number> {
  const options = readOptions(args);
  if (typeof options === 'string') {
    (options === USAGE ? console.log : console.error)(options);
    return options === USAGE ? 0 : 2;
  }
  if (process.getuid?.() !== 0) {
    console.error('fuzz images: not root: layers hold devices and other people’s files');
    return 2;
  }
  const { seed, first, last, workers } = options;
  console.log(`seed ${seed}`);
  // In memory where there is such a place: a hundred thousand cases are many calls of fsync.
  const dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'fuzz-images-'));
  const result: Result = { wrong: [], taken: new Map(), refused: new Map(), peak: 0 };
  try {
    await Promise.all(
      Array.from({ length: workers }, (_, i) =>
        series(result, { seed, from: first + i, to: last, step: workers, dir }),
      ),
    );
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  const { wrong, taken, refused, peak } = result;
  for (const kind of new Set([...taken.keys(), ...refused.keys()]))
    console.log(`  ${kind.padEnd(12)} ${taken.get(kind) ?? 0} taken, ${refused.get(kind) ?? 0} refused`);
  if (peak > MEMORY) wrong.push(`a worker took ${peak.toFixed(0)} MB at its peak: at most ${MEMORY}`);
  for (const line of wrong.slice(0, 30)) console.log(`✗ ${line}`);
  console.log(
    wrong.length === 0
      ? `${last - first} cases: no crash, no hang, nothing reached outside, nothing left; peak ${peak.toFixed(0)} MB`
      : `${wrong.length} failures; the same again with --seed ${seed} --case NUMBER`,
  );
  return wrong.length === 0 ? 0 : 1;
}

interface Range {
  seed: number;
  from: number;
  to: number;
  /** Every so many-th is this worker's. */
  step: number;
  dir: string;
}

/** Runs a worker; another one after it where it hung or crashed. */
async function series(result: Result, range: Range): Promise<void> {
  for (let from: number | undefined = range.from; from !== undefined;) {
    const stopped: number | undefined = await worker(result, { ...range, from });
    from = stopped === undefined ? undefined : stopped + range.step;
  }
}

/** One worker process. Says which case it did not survive. */
function worker(result: Result, { seed, from, to, step, dir }: Range): Promise<number | undefined> {
  const program = join(import.meta.dirname, 'images-worker.ts');
  // In a mount namespace of its own: one that is killed leaves no mount behind.
  const child = spawn(
    'unshare',
    [
      '--mount',
      process.execPath,
      ...process.execArgv,
      '--max-old-space-size=256',
      program,
      ...[seed, from, to, step].map(String),
      dir,
    ],
    { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] },
  );
  let current: { number: number; kind: string } | undefined;
  let ended = false;
  let hung = false;
  const watch = (): NodeJS.Timeout =>
    setTimeout(() => {
      hung = true;
      child.kill('SIGKILL');
    }, PATIENCE);
  let timer = watch();
  child.on('message', (report: Report) => {
    clearTimeout(timer);
    timer = watch();
    if ('begins' in report) {
      current = { number: report.begins, kind: report.kind };
      if (report.begins > 0 && report.begins % 10_000 === 0) console.log(`  … ${report.begins}`);
    } else if ('wrong' in report)
      result.wrong.push(`case ${report.number} (${report.kind}): ${report.wrong}`);
    else {
      ended = true;
      result.peak = Math.max(result.peak, report.ended.peak);
      add(result.taken, report.ended.taken);
      add(result.refused, report.ended.refused);
    }
  });
  return new Promise((resolve, reject) =>
    child.on('exit', (status, signal) => {
      clearTimeout(timer);
      if (ended && status === 0) return resolve(undefined);
      if (!current) return reject(new Error(`a worker did not begin: status ${signal ?? status}`));
      const how = hung
        ? `hung: nothing for ${PATIENCE / 1000} s`
        : `the process ended with ${signal ?? status}`;
      result.wrong.push(`case ${current.number} (${current.kind}): ${how}`);
      resolve(current.number);
    }),
  );
}

function add(to: Map<string, number>, counts: Record<string, number>): void {
  for (const [kind, count] of Object.entries(counts)) to.set(kind, (to.get(kind) ?? 0) + count);
}

interface Options {
  seed: number;
  first: number;
  last: number;
  workers: number;
}

/** The options, or what to say instead. */
function readOptions(args: string[]): Options | string {
  const text = { type: 'string' } as const;
  try {
    const { values } = parseArgs({
      args,
      options: { count: text, seed: text, case: text, workers: text, help: { type: 'boolean', short: 'h' } },
    });
    if (values.help) return USAGE;
    const number = (name: 'count' | 'seed' | 'case' | 'workers', otherwise: number): number => {
      const value = Number(values[name] ?? otherwise);
      if (!Number.isSafeInteger(value) || value < (name === 'seed' || name === 'case' ? 0 : 1))
        throw new Error(`--${name} ${values[name]}: give a whole number`);
      return value;
    };
    const seed = number('seed', Math.floor(Math.random() * 2 ** 32));
    const first = number('case', 0);
    if (values.case !== undefined) return { seed, first, last: first + 1, workers: 1 };
    return {
      seed,
      first,
      last: number('count', 100_000),
      workers: number('workers', availableParallelism()),
    };
  } catch (error) {
    return `fuzz images: ${(error as Error).message}`;
  }
}
