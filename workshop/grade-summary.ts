import type { Grades } from './grade.ts';
import type { Verdict } from './judge.ts';

/** Points of a gap (`02.3`), or of each gap of a chapter (`02`). What is not named gives none. */
export type Weights = Record<string, number>;

/** What is said of a class, counted from its verdicts. */
export interface Summary {
  learners: { name: string; passed: number; points: number }[];
  /** How many have passed each gap, in the order of the gaps. */
  gaps: { id: string; name: string; passed: number; points: number }[];
  /** The gap that most learners have tried and not passed; none where all who tried have passed. */
  mostFailed: { id: string; name: string; failed: number } | undefined;
  /** The most points that there are; `undefined` without weights. */
  most: number | undefined;
}

export function summaryOf(grades: Grades, weights?: Weights): Summary {
  const pointsOf = (id: string): number => weights?.[id] ?? weights?.[id.slice(0, 2)] ?? 0;
  const all = grades.learners.flatMap(({ marks }) => marks);
  const gaps = grades.gaps.map(({ id, name }) => {
    const these = all.filter(({ gap }) => gap === id).map(({ verdict }) => verdict.verdict);
    return {
      id,
      name,
      points: pointsOf(id),
      passed: these.filter((verdict) => verdict === 'passed').length,
      failed: these.filter((verdict) => verdict === 'wrong' || verdict === 'error').length,
    };
  });
  const worst = gaps.reduce((a, b) => (b.failed > a.failed ? b : a), { id: '', name: '', failed: 0 });
  return {
    learners: grades.learners.map(({ name, marks }) => {
      const good = marks.filter(({ verdict }) => verdict.verdict === 'passed');
      return { name, passed: good.length, points: sum(good.map(({ gap }) => pointsOf(gap))) };
    }),
    gaps: gaps.map(({ id, name, passed, points }) => ({ id, name, passed, points })),
    mostFailed: worst.failed > 0 ? { id: worst.id, name: worst.name, failed: worst.failed } : undefined,
    most: weights && sum(gaps.map(({ points }) => points)),
  };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

/** What a verdict says, in a line. */
export function sayingOf(verdict: Verdict): string {
  if (verdict.verdict === 'wrong')
    return `expected ${verdict.expected}; observed ${verdict.observed}. ${verdict.cause}`;
  if (verdict.verdict === 'error')
    return verdict.where ? `${verdict.message} (${verdict.where})` : verdict.message;
  if (verdict.verdict === 'cannot check') return `${verdict.why}: ${verdict.remedy}`;
  return '';
}
