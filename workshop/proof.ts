import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkGap } from './check.ts';
import { withGap, type Gap } from './gaps.ts';
import { exerciseOf, referenceGaps, stubOf } from './learner.ts';

/** What was shown of one exercise. */
export interface Proof {
  gap: string;
  name: string;
  /** lines of code that a learner writes */
  lines: number;
  /** hints that say something */
  hints: number;
  /** wrong answers that it knows, and how many of them got their own diagnosis */
  wrong: number;
  caught: number;
  /** What did not hold, a sentence each; none for an exercise that can be trusted. */
  problems: string[];
}

/**
 * Judges a gap with nothing in it, with each of its wrong answers, and with the reference, in a tree whose other gaps are filled.
 * @throws Error "interrupted" when the signal comes
 */
export async function proveGap(tree: string, gap: Gap, seed: number, signal?: AbortSignal): Promise<Proof> {
  const exercise = await exerciseOf(gap);
  const problems: string[] = [];
  const title = `${gap.id} ${gap.name}`;
  const expect = (what: string, holds: boolean, seen: unknown): void => {
    if (!holds) problems.push(`${title}: ${what}, but: ${JSON.stringify(seen)}`);
  };
  const verdictOf = async (what: string, code: string) => {
    fill(tree, gap, code);
    const found = await checkGap(tree, gap, { seed, ...(signal && { signal }) });
    if (signal?.aborted) throw new Error('interrupted');
    expect(`nothing is left in the kernel by ${what}`, found.left.length === 0, found.left);
    return found;
  };
  const stub = await verdictOf('the stub', stubOf(gap));
  expect('the stub is not started', stub.verdict === 'not started' && stub.gap === title, stub);
  let caught = 0;
  for (const { mistake, code, diagnosis } of exercise.wrong) {
    const found = await verdictOf(`the mistake "${mistake}"`, code);
    const right = found.verdict === 'wrong' && found.cause.includes(diagnosis);
    if (right) caught++;
    expect(`the mistake "${mistake}" gets its diagnosis`, right, found);
  }
  expect('there are at least three wrong answers', exercise.wrong.length >= 3, exercise.wrong.length);
  const reference = await verdictOf('the reference', gap.body);
  expect('the reference passes', reference.verdict === 'passed', reference);
  const hints = exercise.hints.filter((hint) => hint.trim().length > 20).length;
  expect('there are three hints', hints === 3, hints);
  return {
    gap: gap.id,
    name: gap.name,
    lines: gap.lines,
    hints,
    wrong: exercise.wrong.length,
    caught,
    problems,
  };
}

/** Fills every gap of a tree from the reference. */
export function fillAll(tree: string): void {
  for (const gap of referenceGaps()) fill(tree, gap, gap.body);
}

function fill(tree: string, gap: Gap, code: string): void {
  const path = join(tree, gap.file);
  writeFileSync(path, withGap(gap.file, readFileSync(path, 'utf8'), gap.id, code));
}
