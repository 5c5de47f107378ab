/**
 * What `exercises.ts` of a chapter says of a gap: how it is judged, hints, and the mistakes that people make. The check imports the
 * chapter's own code, which in a learner's tree is the learner's.
 */
export interface Exercise {
  /** The gap's number, as in the layer: `02.3`. */
  gap: string;
  /** What is to be done, in one sentence. */
  task: string;
  /** The concept, the place where to look it up, nearly the code. */
  hints: readonly [string, string, string];
  /** Judges facts of the kernel. Returns when they are right; throws `Wrong` when not, `CannotCheck` when the machine is at fault. */
  check(trial: Trial): void | Promise<void>;
  /** At least three plausible wrong answers, which the check must tell apart. */
  wrong: readonly WrongAnswer[];
}

export interface WrongAnswer {
  /** The mistake, in a few words: `forgot MS_PRIVATE`. */
  mistake: string;
  /** What stands in the gap instead. */
  code: string;
  /** A part of what the check must then say is the likely cause. */
  diagnosis: string;
}

/** What a check is given: chance, so that no answer can be learnt by heart, and a way to take things away. */
export interface Trial {
  /** A number from `least` to `most`, drawn from the run's seed. */
  number(least: number, most: number): number;
  /** A word of letters that nothing else has: for names of files, cgroups, hosts. */
  word(): string;
  /** An empty folder, taken away after the check. */
  folder(): string;
  /** Notes how to take away what the check made. Run in reverse order. */
  cleanup(undo: () => void | Promise<void>): void;
  /** The likely cause of a system call that failed, from the state of the machine around the process that asks. */
  explain?(error: unknown): string | undefined;
}

/** The answer is not right yet: what was expected, what was seen, and what that usually means. */
export class Wrong extends Error {
  override readonly name = 'Wrong';
  readonly expected: string;
  readonly observed: string;
  readonly likelyCause: string;

  constructor(of: { expected: string; observed: string; cause: string }) {
    super(`expected ${of.expected}, observed ${of.observed}`);
    this.expected = of.expected;
    this.observed = of.observed;
    this.likelyCause = of.cause;
  }
}

/** The machine cannot show whether the answer is right: why, and what would help. */
export class CannotCheck extends Error {
  override readonly name = 'CannotCheck';
  readonly remedy: string;

  constructor(why: string, remedy: string) {
    super(why);
    this.remedy = remedy;
  }
}

/** Fails the check unless `expected` and `observed` are the same. */
export function expectSame(what: string, expected: unknown, observed: unknown, cause: string): void {
  if (JSON.stringify(expected) === JSON.stringify(observed)) return;
  throw new Wrong({ expected: `${what}: ${show(expected)}`, observed: show(observed), cause });
}

/** Fails the check unless `holds`. */
export function expectThat(holds: boolean, expected: string, observed: unknown, cause: string): void {
  if (!holds) throw new Wrong({ expected, observed: show(observed), cause });
}

const show = (value: unknown): string =>
  typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
