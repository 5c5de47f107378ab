import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Gap } from './gaps.ts';
import { bundleJudge } from './judge-bundle.ts';
import type { Verdict } from './judge.ts';
import { ROOT } from './learner.ts';
import { CHECK_FOLDER, takeAway, withWords, wordsIn } from './leftovers.ts';

export interface CheckOptions {
  /** Draws the names, limits and paths of the check. */
  seed: number;
  /** seconds, 60 unless told */
  limit?: number;
  /** Ends the check: it is then an error, "interrupted". */
  signal?: AbortSignal;
}

/** A verdict, and what else a check knows. */
export type Checked = Verdict & {
  /** What the learner's code printed, its last 20,000 characters. */
  printed: string;
  /** What it left in the kernel, a line each: it has been taken away. */
  left: string[];
};

/**
 * Judges one gap of a tree, in mount and process namespaces of its own: mounts and processes that the learner's code leaves go with
 * them; cgroups, links and packet filter rules are found by the words in their names, and taken away. Never throws for what the
 * learner's code does: that is a verdict.
 */
export async function checkGap(
  tree: string,
  gap: Pick<Gap, 'id' | 'chapter'>,
  options: CheckOptions,
): Promise<Checked> {
  const bundle = await bundleJudge({ tree, chapter: gap.chapter, judge: 'judge-process.ts' });
  if ('verdict' in bundle) return { ...bundle.verdict, printed: '', left: [] };
  // Its temporary files go with this folder, also when it is killed.
  const folder = mkdtempSync(join(tmpdir(), `${CHECK_FOLDER}-${process.pid}-`));
  // Beside the packages, so that it finds them.
  const program = mkdtempSync(join(ROOT, 'node_modules', `.${CHECK_FOLDER}-${process.pid}-`));
  try {
    writeFileSync(join(program, 'judge.mjs'), bundle.code);
    const ran = await run([join(program, 'judge.mjs'), tree, gap.id, String(options.seed)], folder, options);
    return { ...ran, left: await takeAway(withWords(wordsIn(folder))) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
    rmSync(program, { recursive: true, force: true });
  }
}

async function run(
  words: string[],
  folder: string,
  { limit = 60, signal }: CheckOptions,
): Promise<Verdict & { printed: string }> {
  const judge = [process.execPath, '--single-threaded', '--enable-source-maps', ...words];
  const child = spawn(
    'setpriv', // what the checker is killed by, kills the check too
    // --kill-child: when the judge ends or is killed, everything in its pid namespace is.
    // prettier-ignore
    ['--pdeathsig', 'KILL', 'unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', ...judge],
    {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      // Out of reach of the terminal's Ctrl-C: the checker hears it, and ends this.
      detached: true,
      env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/', TMPDIR: folder },
    },
  );
  let printed = '';
  let answer = '';
  const gather = (data: Buffer): void => void (printed = (printed + data.toString()).slice(-20_000));
  child.stdout!.on('data', gather);
  child.stderr!.on('data', gather);
  child.stdio[3]!.on('data', (data: Buffer) => void (answer += data.toString()));
  let why: string | undefined;
  const stop = (reason: string): void => {
    why = reason;
    child.kill('SIGKILL');
  };
  const timer = setTimeout(() => stop(`it did not end within ${limit} s`), limit * 1000);
  const onAbort = (): void => stop('interrupted');
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted) onAbort();
  try {
    return await new Promise((resolve) => {
      child.once('error', (error) =>
        resolve({
          verdict: 'cannot check',
          why: error.message,
          remedy: 'apt-get install util-linux',
          printed,
        }),
      );
      child.once('close', (code, by) =>
        resolve({ ...verdictFrom(answer, why ?? ended(code, by), printed), printed }),
      );
    });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

function verdictFrom(answer: string, end: string, printed: string): Verdict {
  try {
    return JSON.parse(answer) as Verdict;
  } catch {
    // No verdict: the code did not even load, or ended the process.
    return { verdict: 'error', ...saidBy(printed, end) };
  }
}

/** The error in what a judge that came to no verdict has printed, and the learner's line in it; else how it ended. */
export function saidBy(printed: string, end: string): { message: string; where?: string } {
  const where = /\/(chapters\/[^\s():]+\.ts:\d+)/.exec(printed)?.[1];
  const message = /^(?:\w*Error|SyntaxError).*$|^.*ERROR: .*$/m.exec(printed)?.[0] ?? end;
  return { message, ...(where && { where }) };
}

const ended = (code: number | null, signal: string | null): string =>
  signal ? `it was ended by ${signal}` : `it ended with status ${code} before the check was over`;
