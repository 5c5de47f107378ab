import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Exercise } from '../chapters/01-processes/index.ts';
import { findGaps, gapsOf, withGap, type Gap } from './gaps.ts';
import { readSources } from './sources.ts';
import { writeWhole } from './write-whole.ts';

/** The repository: the reference. */
export const ROOT = join(import.meta.dirname, '..');
/** The learner's tree. */
export const MY = join(ROOT, 'my');

const STATE = '.workshop.json';

/** What is remembered of a learner's way, in `my/.workshop.json`. */
export interface LearnerState {
  version: 2;
  /** How many hints were shown, by gap. */
  hints: Record<string, number>;
  /** Gaps that were filled from the reference. */
  solutions: string[];
  /** When a gap passed first, ISO 8601, by gap. */
  passed: Record<string, string>;
  /** What `begin` has made each file from, by path: the digest of the reference's text without what stands in gaps. */
  made: Record<string, string>;
}

/** A mistake of the person at the keyboard: said in one line. */
export class Refused extends Error {
  override readonly name = 'Refused';
}

/** The gaps of the reference, in order. */
export const referenceGaps = (): Gap[] => findGaps(readSources(ROOT));

/**
 * Says so on standard error when the tree is from an older version of the workshop.
 * @throws Refused when there is no learner's tree yet
 */
export function requireTree(target = MY): void {
  if (!existsSync(join(target, 'chapters'))) throw new Refused('there is no my/ yet. Type: npm run begin');
  const { made } = readState(target);
  const old = [...readSources(ROOT)].some(([file, source]) => made[file] !== frameDigest(file, source));
  if (old)
    console.error(
      'my/ is from an older version of the workshop. Type: npm run begin (it is brought up to date, and your work is kept)',
    );
}

/** The digest of a file's text without what stands in its gaps. A text whose markers are broken counts whole. */
export function frameDigest(file: string, text: string): string {
  let frame = text;
  try {
    for (const { id } of isLayer(file) ? gapsOf(file, text) : []) frame = withGap(file, frame, id, '');
  } catch {
    frame = text;
  }
  return createHash('sha256').update(frame).digest('hex').slice(0, 16);
}

/** Whether gaps may stand in a file. */
export const isLayer = (file: string): boolean => /^chapters\/[^/]+\/[^/]+\.ts$/.test(file);

/** The gap of a number, or a chapter's gaps, or all: `02.3`, `02`, nothing. @throws Refused naming what there is */
export function selectGaps(which: string | undefined, gaps = referenceGaps()): Gap[] {
  if (which === undefined) return gaps;
  const wanted = which.replace(/^(\d)(?=\.|$)/, '0$1');
  const found = gaps.filter(
    (gap) => gap.id === wanted || gap.id.startsWith(`${wanted}.`) || gap.chapter === wanted,
  );
  if (found.length > 0) return found;
  const near = gaps.filter((gap) => gap.id.startsWith(wanted.slice(0, 2))).map((gap) => gap.id);
  throw new Refused(
    `there is no gap ${which}. There are: ${(near.length > 0 ? near : [...new Set(gaps.map((g) => g.id.slice(0, 2)))]).join(', ')}`,
  );
}

/** Exactly one gap. @throws Refused */
export function selectGap(which: string): Gap {
  const found = selectGaps(which);
  if (found.length > 1)
    throw new Refused(`${which} has several gaps: name one of ${found.map((gap) => gap.id).join(', ')}`);
  return found[0]!;
}

/** What the learner's file has in a gap. @throws Refused when the file or its markers are gone */
export function learnersBody(gap: Gap, target = MY): string {
  const path = join(target, gap.file);
  if (!existsSync(path))
    throw new Refused(`my/${gap.file} is gone. Type: npm run begin (it makes what is missing)`);
  const found = gapsOfLearner(gap.file, readFileSync(path, 'utf8')).find((one) => one.id === gap.id);
  if (!found)
    throw new Refused(
      `my/${gap.file} has no markers of gap ${gap.id} any more: put //#gap ${gap.id} ${gap.name} and //#end around your code`,
    );
  return found.body;
}

function gapsOfLearner(file: string, text: string): Gap[] {
  try {
    return gapsOf(file, text);
  } catch (error) {
    throw new Refused(`my/${(error as Error).message}: mend the marker`);
  }
}

/** Puts code into the learner's gap; what stood there is kept beside the file, as `FILE.before-GAP`. Returns the kept file's path. */
export function replaceBody(gap: Gap, body: string, target = MY): string | undefined {
  const path = join(target, gap.file);
  const before = learnersBody(gap, target);
  const source = readFileSync(path, 'utf8');
  const after = withGap(gap.file, source, gap.id, body);
  if (after === source) return undefined;
  const isStub = before.includes('new NotImplemented(');
  const kept = isStub ? undefined : keep(path, `before-${gap.id}`);
  writeWhole(path, after);
  return kept;
}

/** Keeps a file's text beside it, under a name that nothing has yet; returns that. */
export function keep(path: string, why: string): string {
  for (let n = 1; ; n++) {
    const beside = `${path}.${why}${n === 1 ? '' : `-${n}`}`;
    if (existsSync(beside)) continue;
    copyFileSync(path, beside);
    return beside;
  }
}

/** The stub that `begin` puts into a gap. */
export const stubOf = (gap: Gap): string => `throw new NotImplemented('${gap.id} ${gap.name}');`;

/** @throws Refused for a state that cannot be read, or is of a newer version */
export function readState(target = MY): LearnerState {
  const path = join(target, STATE);
  const fresh: LearnerState = { version: 2, hints: {}, solutions: [], passed: {}, made: {} };
  if (!existsSync(path)) return fresh;
  let state: Omit<LearnerState, 'version'> & { version: number };
  try {
    state = JSON.parse(readFileSync(path, 'utf8')) as typeof state;
  } catch (error) {
    throw new Refused(
      `${path} cannot be read (${(error as Error).message}). It holds which hints were shown and which gaps passed, no code: mend it, or delete it`,
    );
  }
  if (state.version !== 1 && state.version !== 2)
    throw new Refused(`${path} is of version ${String(state.version)}: this workshop knows versions 1 and 2`);
  return { ...fresh, ...state, version: 2 };
}

export function writeState(state: LearnerState, target = MY): void {
  writeWhole(join(target, STATE), `${JSON.stringify(state, null, 2)}\n`);
}

/** The exercises of a chapter of the reference; none where the chapter has none yet. */
export async function exercisesOf(chapter: string): Promise<readonly Exercise[]> {
  const path = join(ROOT, 'chapters', chapter, 'exercises.ts');
  if (!existsSync(path)) return [];
  return ((await import(path)) as { exercises: readonly Exercise[] }).exercises;
}

/** The exercise of a gap. @throws Error when the gap has none */
export async function exerciseOf(gap: Gap): Promise<Exercise> {
  const found = (await exercisesOf(gap.chapter)).find((exercise) => exercise.gap === gap.id);
  if (!found) throw new Error(`gap ${gap.id} has no exercise in chapters/${gap.chapter}/exercises.ts`);
  return found;
}
