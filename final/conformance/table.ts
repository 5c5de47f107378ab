/** What a suite said of one case. `none`: it ended, or was ended, before it came to it. */
export type Verdict = 'passed' | 'failed' | 'skipped' | 'none';

export interface Case {
  name: string;
  verdict: Verdict;
  /** Why it was skipped, or how it failed. */
  note: string;
}

/** One case under both runtimes. */
export interface Row {
  file: string;
  name: string;
  myrunc: Case;
  /** Undefined when myrunc ran alone. */
  other: Case | undefined;
  /** Why it is known to differ. */
  difference: string | undefined;
}

/** Prints the table and what it adds up to. Returns 1 when a case that the other runtime passes is not passed, and is not known to differ. */
export function printTable(rows: readonly Row[], json: boolean): number {
  const worse = rows.filter(isWorse);
  if (json) {
    console.log(JSON.stringify(rows, null, 2));
    return worse.length > 0 ? 1 : 0;
  }
  const width = Math.max(20, ...rows.map(({ file, name }) => file.length + name.length + 2));
  for (const { file, name, myrunc, other, difference } of rows)
    console.log(
      `${`${file}: ${name}`.padEnd(width)}  ${(other?.verdict ?? '').padEnd(8)}  ${myrunc.verdict.padEnd(8)}  ${difference ?? note(myrunc)}`,
    );
  const count = (cases: (Case | undefined)[]): string =>
    (['passed', 'failed', 'skipped', 'none'] as const)
      .map((verdict) => `${cases.filter((each) => each?.verdict === verdict).length} ${verdict}`)
      .join(', ');
  console.log(`\nmyrunc: ${count(rows.map(({ myrunc }) => myrunc))}`);
  if (rows.some(({ other }) => other)) console.log(`beside: ${count(rows.map(({ other }) => other))}`);
  for (const { file, name } of worse) console.log(`not passed: ${file}: ${name}`);
  return worse.length > 0 ? 1 : 0;
}

const note = ({ verdict, note: text }: Case): string => (verdict === 'passed' ? '' : text);

/** Alone, myrunc is to fail nothing; beside another, to pass what that passes. */
function isWorse({ myrunc, other, difference }: Row): boolean {
  if (difference !== undefined) return false;
  if (!other) return myrunc.verdict === 'failed' || myrunc.verdict === 'none';
  return other.verdict === 'passed' && myrunc.verdict !== 'passed';
}
