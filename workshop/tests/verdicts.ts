import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Grades } from '../grade.ts';
import { sayingOf } from '../grade-summary.ts';
import { referenceGaps, ROOT } from '../learner.ts';
import { CLASS } from './class/make-class.ts';

// Holds the grades of the class of thirty to what its members have handed in: `tsx workshop/tests/verdicts.ts [GRADES.json]`, after
// `npm run grade workshop/tests/class/*`. Status 1 if one verdict is another than it should be.

/** What is found of those who try something in gap 01.1: the verdict, and words of it. */
const FOUND: Readonly<Record<string, RegExp>> = {
  'broken-syntax': /^error .*cannot be read/,
  'leaves-its-function': /^error .*cannot be read/,
  throws: /^error TypeError: mine/,
  'endless-loop': /^error it did not end within/,
  'fork-bomb': /^error it did not end within .* processes/,
  'memory-hog': /^error it used more than .* of memory/,
  'fills-the-disk': /^error .*no space left/,
  'edits-its-tests': /^wrong /,
  'prints-the-text': /^wrong /,
  'forges-a-verdict': /^error .*forgery/,
  'lies-about-json': /^error /,
  'exits-0': /^error it ended with status 0 before the check was over/,
  'writes-outside': /^wrong /,
  'leaves-things': /^wrong /,
  'kills-everybody': /^wrong /,
  'no-markers': /^error .*has no markers/,
  'file-missing': /^error .*was not handed in/,
  'link-instead': /^error .*is not a file of this submission/,
};

const path = process.argv[2] ?? join(ROOT, 'dist', 'grade', 'grades.json');
const { learners } = JSON.parse(readFileSync(path, 'utf8')) as Grades;
const gaps = referenceGaps();
const first = gaps.find(({ id }) => id === '01.1')!.file;
const problems: string[] = [];
for (const name of Object.keys(CLASS)) {
  const marks = learners.find((learner) => learner.name === name)?.marks ?? [];
  for (const gap of gaps) {
    const verdict = marks.find((mark) => mark.gap === gap.id)?.verdict;
    const saying = verdict ? `${verdict.verdict} ${sayingOf(verdict)}` : 'not judged';
    const answer = await CLASS[name]!(gap);
    const handedIn = answer === undefined ? /^not started/ : answer === gap.body ? /^passed/ : /^wrong /;
    // What is done to a file is done to each gap in it; what is done in 01.1 only to that.
    const tried = name.endsWith('-missing') || name.startsWith('no-') || name.startsWith('link-');
    const found =
      FOUND[name] && (gap.id === '01.1' || (tried && gap.file === first)) ? FOUND[name] : handedIn;
    if (!found.test(saying))
      problems.push(`${name}, ${gap.id}: ${found} is expected, and this was found: ${saying}`);
  }
}
for (const problem of problems) console.error(problem);
const all = Object.keys(CLASS).length * gaps.length;
console.log(`${all - problems.length} of ${all} verdicts are what they should be`);
process.exitCode = problems.length > 0 ? 1 : 0;
