import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Gap } from './gaps.ts';
import type { Verdict } from './judge.ts';

export interface CheckOptions {
  /** Draws the names, limits and paths of the check. */
  seed: number;
  /** seconds, 60 unless told */
  limit?: number;
}

/**
 * Judges one gap of a tree, in mount and process namespaces of its own: mounts and processes that the learner's code leaves go with
 * them. Never throws for what the learner's code does: that is a verdict.
 */
export function checkGap(
  tree: string,
  gap: Pick<Gap, 'id' | 'chapter'>,
  options: CheckOptions,
): Promise<Verdict & { printed: string }> {
  const { seed, limit = 60 } = options;
  const judge = [process.execPath, '--single-threaded', '--import', import.meta.resolve('tsx')];
  const words = [join(import.meta.dirname, 'judge.ts'), tree, gap.chapter, gap.id, String(seed)];
  const folder = mkdtempSync(join(tmpdir(), 'check-'));
  // --kill-child: when the judge ends or is killed, everything in its pid namespace is.
  const child = spawn(
    'unshare',
    ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc', ...judge, ...words],
    {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      // Its temporary folders go with it, also when it is killed.
      env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/', TMPDIR: folder },
    },
  );
  let printed = '';
  let answer = '';
  const gather = (data: Buffer): void => void (printed = (printed + data.toString()).slice(-20_000));
  child.stdout!.on('data', gather);
  child.stderr!.on('data', gather);
  child.stdio[3]!.on('data', (data: Buffer) => void (answer += data.toString()));
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill('SIGKILL');
  }, limit * 1000);
  return new Promise((resolve) => {
    child.once('error', (error) => {
      clearTimeout(timer);
      resolve({ verdict: 'cannot check', why: error.message, remedy: 'apt-get install util-linux', printed });
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      rmSync(folder, { recursive: true, force: true });
      resolve({
        ...verdictFrom(answer, late ? `it did not end within ${limit} s` : ended(code, signal), printed),
        printed,
      });
    });
  });
}

function verdictFrom(answer: string, end: string, printed: string): Verdict {
  try {
    return JSON.parse(answer) as Verdict;
  } catch {
    // No verdict: the code did not even load, or ended the process.
    const where = /([^\s()]*\/(chapters\/[^\s():]+\.ts:\d+))/.exec(printed)?.[2];
    const error = /^(?:\w*Error|SyntaxError).*$|^.*ERROR: .*$/m.exec(printed)?.[0];
    return { verdict: 'error', message: error ?? end, ...(where && { where }) };
  }
}

const ended = (code: number | null, signal: string | null): string =>
  signal ? `it was ended by ${signal}` : `it ended with status ${code} before the check was over`;
