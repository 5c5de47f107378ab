import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Exercise } from '../chapters/01-processes/index.ts';
import { findGaps, gapsOf, stubbed, withGap, type Gap } from './gaps.ts';
import { readSources } from './sources.ts';

/** The repository: the reference. */
export const ROOT = join(import.meta.dirname, '..');
/** The learner's tree. */
export const MY = join(ROOT, 'my');

/** What is copied beside the sources, so that `my/` is a tree that works. */
const ALSO = [
  'README.md',
  'LICENSE',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'vitest.config.ts',
  'vagrant',
];
const STATE = '.workshop.json';

/** What is remembered of a learner's way, in `my/.workshop.json`. */
export interface LearnerState {
  version: 1;
  /** How many hints were shown, by gap. */
  hints: Record<string, number>;
  /** Gaps that were filled from the reference. */
  solutions: string[];
  /** When a gap passed first, ISO 8601, by gap. */
  passed: Record<string, string>;
}

/** A mistake of the person at the keyboard: said in one line. */
export class Refused extends Error {
  override readonly name = 'Refused';
}

/** The gaps of the reference, in order. */
export const referenceGaps = (): Gap[] => findGaps(readSources(ROOT));

/**
 * Makes the learner's tree: the reference with every gap a stub. What is there already is left alone, file by file, so that no work
 * is lost; returns the files that were made.
 */
export function begin(target = MY): string[] {
  const made: string[] = [];
  for (const [file, source] of readSources(ROOT)) {
    const path = join(target, file);
    if (existsSync(path)) continue;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, isLayer(file) ? stubbed(file, source) : source);
    made.push(file);
  }
  for (const name of [...ALSO, ...otherFiles()]) {
    if (existsSync(join(target, name)) || !existsSync(join(ROOT, name))) continue;
    cpSync(join(ROOT, name), join(target, name), { recursive: true });
    made.push(name);
  }
  if (!existsSync(join(target, STATE)))
    writeState({ version: 1, hints: {}, solutions: [], passed: {} }, target);
  return made;
}

const isLayer = (file: string): boolean => /^chapters\/[^/]+\/[^/]+\.ts$/.test(file);
const otherFiles = (): string[] => [
  'workshop/setup.mjs',
  ...[...new Set(referenceGaps().map((gap) => gap.chapter))].map(
    (chapter) => `chapters/${chapter}/README.md`,
  ),
];

/** @throws Refused when there is no learner's tree yet */
export function requireTree(target = MY): void {
  if (!existsSync(join(target, 'chapters'))) throw new Refused('there is no my/ yet. Type: npm run begin');
}

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
  const found = gapsOf(gap.file, readFileSync(path, 'utf8')).find((one) => one.id === gap.id);
  if (!found)
    throw new Refused(
      `my/${gap.file} has no markers of gap ${gap.id} any more: put //#gap ${gap.id} ${gap.name} and //#end around your code`,
    );
  return found.body;
}

/** Puts code into the learner's gap; what stood there is kept beside the file, as `FILE.before-GAP`. Returns the kept file's path. */
export function replaceBody(gap: Gap, body: string, target = MY): string | undefined {
  const path = join(target, gap.file);
  const before = learnersBody(gap, target);
  const source = readFileSync(path, 'utf8');
  const after = withGap(gap.file, source, gap.id, body);
  if (after === source) return undefined;
  const isStub = before.includes('new NotImplemented(');
  const kept = isStub ? undefined : `${path}.before-${gap.id}`;
  if (kept) writeFileSync(kept, source);
  writeWhole(path, after);
  return kept;
}

/** The stub that `begin` puts into a gap. */
export const stubOf = (gap: Gap): string => `throw new NotImplemented('${gap.id} ${gap.name}');`;

/** @throws Error for a state of an unknown version */
export function readState(target = MY): LearnerState {
  const path = join(target, STATE);
  if (!existsSync(path)) return { version: 1, hints: {}, solutions: [], passed: {} };
  const state = JSON.parse(readFileSync(path, 'utf8')) as LearnerState;
  if (state.version !== 1)
    throw new Refused(`${path} is of version ${String(state.version)}: this workshop knows version 1`);
  return state;
}

export function writeState(state: LearnerState, target = MY): void {
  writeWhole(join(target, STATE), `${JSON.stringify(state, null, 2)}\n`);
}

function writeWhole(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
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
