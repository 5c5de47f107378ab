import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CannotCheck, NotImplemented, Wrong } from '../chapters/01-processes/index.ts';
import { type Exercise, type Trial } from '../chapters/01-processes/index.ts';
import { explain } from './coach.ts';

/** What a check found. */
export type Verdict =
  | { verdict: 'passed' }
  | { verdict: 'wrong'; expected: string; observed: string; cause: string }
  | { verdict: 'not started'; gap: string }
  /** `cause` is what the errno coach says of a system call that failed. */
  | { verdict: 'error'; message: string; where?: string; cause?: string }
  | { verdict: 'cannot check'; why: string; remedy: string };

/** Loads the exercises of the chapter, and with them the code that is judged. */
export type Load = () => Promise<{ exercises: readonly Exercise[] }>;

export interface JudgeOptions {
  /** Where the tree that is judged lies. */
  tree: string;
  gap: string;
  seed: number;
  /** Told each word that is drawn, so that what the check made can be found by it. */
  onWord?: (word: string) => void;
}

/** Runs the exercise of a gap of a tree, and says what it found. */
export async function judge(load: Load, options: JudgeOptions): Promise<Verdict> {
  const { tree, gap, seed, onWord } = options;
  const { trial, cleanUp } = trialOf(`${seed} ${gap}`, onWord);
  try {
    const exercise = (await load()).exercises.find((one) => one.gap === gap);
    if (!exercise)
      return {
        verdict: 'cannot check',
        why: `the exercises of this tree know no gap ${gap}`,
        remedy: 'npm run begin',
      };
    await exercise.check(trial);
    return { verdict: 'passed' };
  } catch (error) {
    return verdictOf(error, tree, gap);
  } finally {
    await cleanUp();
  }
}

/** By name and not by class: the tree that is judged has classes of its own. */
function verdictOf(error: unknown, tree: string, gap: string): Verdict {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at.name === 'NotImplemented') return { verdict: 'not started', gap: (at as NotImplemented).gap };
    if (at.name === 'Wrong') {
      const { expected, observed, likelyCause } = at as Wrong;
      return { verdict: 'wrong', expected, observed, cause: likelyCause };
    }
    if (at.name === 'CannotCheck')
      return { verdict: 'cannot check', why: at.message, remedy: (at as CannotCheck).remedy };
  }
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  const place = placeIn(stack, tree, gap);
  const cause = causeOf(error);
  return { verdict: 'error', message, ...(place && { where: place }), ...(cause && { cause }) };
}

/** The line of the tree that the error came from: in the file of the gap, if it passed through that, and not in what the gap called. */
function placeIn(stack: string, tree: string, gap: string): string | undefined {
  const places = [...stack.matchAll(/((?:\/|file:)[^\s()]+\.ts):(\d+)/g)]
    .map(([, file, line]) => ({ file: file!.replace('file://', ''), line }))
    .filter(({ file }) => file.startsWith(`${tree}/`) && !/\/exercise(s|-[\w-]+)\.ts$/.test(file));
  const place = places.find(({ file }) => readFileSync(file, 'utf8').includes(`//#gap ${gap} `)) ?? places[0];
  return place && `${place.file.slice(tree.length + 1)}:${place.line}`;
}

/** What was said where the error came from, if that was a child of the check; else what the machine shows here and now. */
function causeOf(error: unknown): string | undefined {
  if (error instanceof Error && 'likelyCause' in error && typeof error.likelyCause === 'string')
    return error.likelyCause;
  return explain(error);
}

function trialOf(
  seed: string,
  onWord: (word: string) => void = () => undefined,
): { trial: Trial; cleanUp(): Promise<void> } {
  const undo: (() => void | Promise<void>)[] = [];
  const random = generator(seed);
  const number = (least: number, most: number): number => least + Math.floor(random() * (most - least + 1));
  const trial: Trial = {
    number,
    word: () => {
      const word = Array.from({ length: 8 }, () => String.fromCharCode(97 + number(0, 25))).join('');
      onWord(word);
      return word;
    },
    folder: () => {
      const folder = mkdtempSync(join(tmpdir(), 'check-'));
      undo.push(() => rmSync(folder, { recursive: true, force: true }));
      return folder;
    },
    cleanup: (action) => void undo.push(action),
    explain,
  };
  const cleanUp = async (): Promise<void> => {
    for (let action; (action = undo.pop());) {
      try {
        await action();
      } catch {
        // What the learner's code left in a strange state goes with the namespaces of this process.
      }
    }
  };
  return { trial, cleanUp };
}

/** mulberry32: small, and the same numbers for the same seed everywhere. Gaps that are judged at once draw different ones. */
function generator(seed: string): () => number {
  let state = createHash('sha256').update(seed).digest().readUInt32LE();
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
