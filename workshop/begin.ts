import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gapsOf, stubbed, withGap, type Gap } from './gaps.ts';
import {
  frameDigest,
  isLayer,
  keep,
  MY,
  readState,
  referenceGaps,
  ROOT,
  writeState,
  type LearnerState,
} from './learner.ts';
import { readSources } from './sources.ts';
import { writeWhole } from './write-whole.ts';

/** What is copied beside the sources, so that `my/` is a tree that works. */
const ALSO = [
  'README.md',
  'LICENSE',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'vitest.config.ts',
];

/** What `begin` did to a tree. Paths are from its top. */
export interface Begun {
  /** Files that were not there. */
  made: string[];
  /** Files that the workshop has changed since they were made: they are new, with the learner's code in their gaps. */
  updated: string[];
  /** Where the learner's file is kept as it was, when there was more in it than code in gaps. */
  kept: string[];
}

/**
 * Makes the learner's tree: the reference with every gap a stub. A tree that is there is brought up to date file by file, and no work is lost:
 * what the workshop has not changed is left alone; where it has, the learner's code goes into the gaps of the new file, and whatever
 * else they had written is kept beside it, in `FILE.before-update`.
 */
export function begin(target = MY): Begun {
  const begun: Begun = { made: [], updated: [], kept: [] };
  const state = readState(target);
  const moved = new Map<string, string | undefined>();
  for (const [file, source] of readSources(ROOT))
    place(target, file, isLayer(file) ? stubbed(file, source) : source, source, { begun, state, moved });
  for (const file of [...ALSO, ...otherFiles()]) {
    if (!existsSync(join(ROOT, file))) continue;
    const text = readFileSync(join(ROOT, file), 'utf8');
    place(target, file, text, text, { begun, state, moved });
  }
  if (!existsSync(join(target, 'vagrant')))
    cpSync(join(ROOT, 'vagrant'), join(target, 'vagrant'), { recursive: true });
  writeState(renamed(state, moved), target);
  return begun;
}

const otherFiles = (): string[] => [
  'workshop/setup.mjs',
  ...[...new Set(referenceGaps().map((gap) => gap.chapter))].map(
    (chapter) => `chapters/${chapter}/README.md`,
  ),
];

interface Place {
  begun: Begun;
  state: LearnerState;
  /** Gaps of files that were brought up to date: from the number that they had to the one that they have; none for one that is no more. */
  moved: Map<string, string | undefined>;
}

/** Puts one file into the tree, or brings the one that is there up to date. */
function place(target: string, file: string, fresh: string, reference: string, to: Place): void {
  const { begun, state, moved } = to;
  const path = join(target, file);
  const digest = frameDigest(file, reference);
  const before = state.made[file];
  state.made[file] = digest;
  if (!existsSync(path)) {
    mkdirSync(dirname(path), { recursive: true });
    writeWhole(path, fresh);
    return void begun.made.push(file);
  }
  const mine = readFileSync(path, 'utf8');
  // The workshop's file is the one that this was made from, whatever the learner has made of it since.
  if (before === digest || frameDigest(file, mine) === frameDigest(file, fresh)) return;
  const { text, lost, ids } = carried(file, mine, fresh);
  if (text === mine) return;
  const asMade = [mine, withoutImport(mine)].some((each) => frameDigest(file, each) === before);
  if (lost || !asMade) begun.kept.push(keep(path, 'before-update').slice(target.length + 1));
  writeWhole(path, text);
  begun.updated.push(file);
  for (const [from, id] of ids) moved.set(from, id);
}

/** The learner's file without the import that stubs need and the reference may not have. */
const withoutImport = (mine: string): string =>
  mine.replace(/^import \{ NotImplemented \} from '[^']*';\n/m, '');

/** The new file with the learner's code in its gaps, which are known again by their names; and whether some of it found no gap. */
function carried(
  file: string,
  mine: string,
  fresh: string,
): { text: string; lost: boolean; ids: Map<string, string | undefined> } {
  const ids = new Map<string, string | undefined>();
  if (!isLayer(file)) return { text: fresh, lost: false, ids };
  let theirs: Gap[];
  try {
    theirs = gapsOf(file, mine);
  } catch {
    return { text: fresh, lost: true, ids }; // its markers are broken: it is kept whole
  }
  let text = fresh;
  let lost = false;
  for (const { id, name, body } of theirs) {
    const now = gapsOf(file, fresh).find((gap) => gap.name === name);
    ids.set(id, now?.id);
    if (body.includes('new NotImplemented(')) continue;
    if (now) text = withGap(file, text, now.id, body);
    else lost = true;
  }
  return { text, lost, ids };
}

/** What is remembered of gaps, under the numbers that they have now. Those whose file has changed are to be checked again. */
function renamed(state: LearnerState, moved: ReadonlyMap<string, string | undefined>): LearnerState {
  const now = (id: string): string | undefined => (moved.has(id) ? moved.get(id) : id);
  return {
    ...state,
    hints: Object.fromEntries(
      Object.entries(state.hints).flatMap(([id, shown]) => (now(id) ? [[now(id)!, shown]] : [])),
    ),
    solutions: state.solutions.flatMap((id) => now(id) ?? []),
    passed: Object.fromEntries(Object.entries(state.passed).filter(([id]) => !moved.has(id))),
  };
}
