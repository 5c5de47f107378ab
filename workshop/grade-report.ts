import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import chalk from 'chalk';
import type { Grades } from './grade.ts';
import { gradesPage } from './grade-html.ts';
import { sayingOf, summaryOf, type Summary, type Weights } from './grade-summary.ts';
import type { Verdict } from './judge.ts';
import { Refused } from './learner.ts';
import { writeWhole } from './write-whole.ts';

/** @throws Refused naming what is wrong in the file */
export function readWeights(path: string, gaps: readonly { id: string }[]): Weights {
  let read: unknown;
  try {
    read = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new Refused(`${path}: ${(error as Error).message}`);
  }
  if (typeof read !== 'object' || read === null || Array.isArray(read))
    throw new Refused(`${path}: weights are an object: {"01": 1, "02.3": 5}`);
  for (const [key, points] of Object.entries(read)) {
    if (!gaps.some(({ id }) => id === key || id.slice(0, 2) === key))
      throw new Refused(`${path}: there is no gap or chapter ${key}`);
    if (typeof points !== 'number' || !(points >= 0))
      throw new Refused(`${path}: ${key} has ${JSON.stringify(points)}: give a number of points, 0 or more`);
  }
  return read as Weights;
}

/** Writes grades.json, grades.xml (JUnit), grades.csv and grades.html. The same verdicts make the same files, byte for byte. Returns their paths. */
export function writeReports(out: string, grades: Grades, weights?: Weights): string[] {
  const summary = summaryOf(grades, weights);
  const files = {
    'grades.json': `${JSON.stringify({ version: 1, ...grades, summary }, null, 2)}\n`,
    'grades.xml': junit(grades),
    'grades.csv': csv(grades, summary),
    'grades.html': gradesPage(grades, summary),
  };
  return Object.entries(files).map(([name, text]) => {
    writeWhole(join(out, name), text);
    return join(out, name);
  });
}

/** A learner is a test suite, a gap a test case. Source: https://github.com/testmoapp/junitxml */
function junit({ learners, gaps, seed }: Grades): string {
  const suites = learners.map(({ name, marks }) => {
    const count = (...kinds: string[]): number =>
      marks.filter((m) => kinds.includes(m.verdict.verdict)).length;
    const cases = marks.map(({ gap, verdict }) => {
      const { chapter, name: title } = gaps.find(({ id }) => id === gap)!;
      const inner = {
        passed: '',
        wrong: `<failure message="wrong">${xml(sayingOf(verdict))}</failure>`,
        error: `<error message="error">${xml(sayingOf(verdict))}</error>`,
        'not started': '<skipped message="not started"/>',
        'cannot check': `<skipped message="cannot check">${xml(sayingOf(verdict))}</skipped>`,
      }[verdict.verdict];
      return `    <testcase classname="${xml(chapter)}" name="${xml(`${gap} ${title}`)}">${inner}</testcase>`;
    });
    const counts = `tests="${marks.length}" failures="${count('wrong')}" errors="${count('error')}" skipped="${count('not started', 'cannot check')}"`;
    return `  <testsuite name="${xml(name)}" ${counts}>\n    <properties><property name="seed" value="${seed}"/></properties>\n${cases.join('\n')}\n  </testsuite>`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="workshop">\n${suites.join('\n')}\n</testsuites>\n`;
}

/** Text that XML may carry: marks escaped, control characters that XML 1.0 forbids left out. */
const xml = (text: string): string =>
  text
    .replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|[\ud800-\udfff](?![\udc00-\udfff])/gu, '')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');

/** RFC 4180. A cell that a spreadsheet would take for a formula gets an apostrophe. */
function csv({ learners, gaps }: Grades, summary: Summary): string {
  const cell = (value: string | number): string => {
    const text = typeof value === 'string' && /^[=+\-@\t]/.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const points = summary.most !== undefined;
  const rows = [
    ['learner', 'passed', ...(points ? ['points'] : []), ...gaps.map(({ id, name }) => `${id} ${name}`)],
    ...learners.map(({ name, marks }, i) => [
      name,
      summary.learners[i]!.passed,
      ...(points ? [summary.learners[i]!.points] : []),
      ...marks.map(({ verdict }) => verdict.verdict),
    ]),
  ];
  return rows.map((row) => `${row.map(cell).join(',')}\r\n`).join('');
}

const MARKS: Record<Verdict['verdict'], [sign: string, paint: (text: string) => string]> = {
  passed: ['✓', chalk.green],
  wrong: ['✗', chalk.red],
  error: ['!', chalk.magenta],
  'not started': ['·', chalk.dim],
  'cannot check': ['?', chalk.yellow],
};

/** For the terminal: a row for each learner, a column for each gap, the gaps of a chapter together. */
export function table(grades: Grades, summary: Summary): string {
  const width = Math.min(30, Math.max(7, ...grades.learners.map(({ name }) => name.length)));
  const chapters = [...new Set(grades.gaps.map(({ chapter }) => chapter))];
  const of = (chapter: string) => grades.gaps.filter((gap) => gap.chapter === chapter);
  const total = (i: number): string => {
    const { passed, points } = summary.learners[i]!;
    return `${passed} of ${grades.gaps.length}${summary.most === undefined ? '' : `, ${points} of ${summary.most} points`}`;
  };
  const head = chapters
    .map((chapter) => chapter.slice(0, 2).padEnd(Math.max(2, of(chapter).length)))
    .join('  ');
  const rows = grades.learners.map(({ name, marks }, i) => {
    const sign = (gap: string): string => {
      const [text, paint] = MARKS[marks.find((mark) => mark.gap === gap)!.verdict.verdict];
      return paint(text);
    };
    // A chapter of one gap is still two wide: the paint must not count.
    const cells = chapters.map(
      (c) =>
        of(c)
          .map(({ id }) => sign(id))
          .join('') + ' '.repeat(Math.max(0, 2 - of(c).length)),
    );
    return `${(name.length > width ? `${name.slice(0, width - 1)}…` : name).padEnd(width)}  ${cells.join('  ')}  ${total(i)}`;
  });
  const worst = summary.mostFailed;
  return [
    chalk.bold(`${'learner'.padEnd(width)}  ${head}  passed`),
    ...rows,
    chalk.dim(`\n✓ passed  ✗ wrong  ! error  · not started  ? cannot check    seed ${grades.seed}`),
    worst
      ? `Most failed: ${worst.id} ${worst.name} (${worst.failed} of ${grades.learners.length})`
      : 'Nobody failed what they tried.',
  ].join('\n');
}
