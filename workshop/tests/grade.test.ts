import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { detectCgroups } from '../../chapters/03-cgroups/index.ts';
import { grade, type Grades } from '../grade.ts';
import { readWeights, writeReports } from '../grade-report.ts';
import { CGROUP, LIMITS } from '../grade-sandbox.ts';
import { findSubmissions } from '../grade-submission.ts';
import { summaryOf } from '../grade-summary.ts';
import { ROOT, selectGaps } from '../learner.ts';
import type { Verdict } from '../judge.ts';
import { makeClass } from './class/make-class.ts';

const names = [
  'whole-ada',
  'stub',
  'wrong-1',
  'broken-syntax',
  'leaves-its-function',
  'endless-loop',
  'fork-bomb',
  'memory-hog',
  'edits-its-tests',
  'prints-the-text',
  'forges-a-verdict',
  'lies-about-json',
  'exits-0',
  'writes-outside',
  'leaves-things',
  'kills-everybody',
  'no-markers',
  'link-instead',
];

let folder: string;
let paths: string[];
let grades: Grades;
let endless: Grades;
let others: Grades;
// Of the clock: who ends by themselves have plenty, so that a busy machine ends nobody.
const limits = { ...LIMITS, seconds: 100, memory: 320 * 1024 * 1024 };
const neverEnd = ['endless-loop', 'fork-bomb'];
const pathsOf = (chosen: (name: string) => boolean): string[] => paths.filter((_, i) => chosen(names[i]!));
beforeAll(async () => {
  if (process.getuid?.() !== 0) throw new Error('grading is tested on the kernel, as root');
  folder = mkdtempSync(join(tmpdir(), 'graded-'));
  paths = await makeClass(join(folder, 'class'), names);
  const options = { out: join(folder, 'out'), seed: 7, jobs: 2, limits };
  const [first, second] = [selectGaps('01.1'), selectGaps('01.2')];
  grades = await grade({ ...options, paths: pathsOf((name) => !neverEnd.includes(name)), gaps: first });
  endless = await grade({
    ...options,
    out: join(folder, 'endless'),
    paths: pathsOf((name) => neverEnd.includes(name)),
    gaps: first,
    limits: { ...limits, seconds: 6 },
  });
  const some = ['whole-ada', 'wrong-1', 'fork-bomb', 'memory-hog', 'kills-everybody'];
  others = await grade({ ...options, paths: pathsOf((name) => some.includes(name)), gaps: second });
}, 300_000);
afterAll(() => rmSync(folder, { recursive: true }));

const verdict = (learner: string): Verdict =>
  [...grades.learners, ...endless.learners].find(({ name }) => name === learner)!.marks[0]!.verdict;
const message = (text: string) => ({ verdict: 'error', message: expect.stringContaining(text) as string });

describe('a class, graded', () => {
  test('gives each learner the right verdict', () => {
    expect(verdict('whole-ada')).toEqual({ verdict: 'passed' });
    expect(verdict('stub')).toEqual({ verdict: 'not started', gap: '01.1 parseStat' });
    expect(verdict('wrong-1')).toMatchObject({ verdict: 'wrong', cause: expect.stringContaining('spaces') });
    expect(verdict('broken-syntax')).toMatchObject(message('cannot be read'));
    expect(verdict('no-markers')).toMatchObject(message('has no markers of gap 01.1'));
    expect(verdict('link-instead')).toMatchObject(message('is not a file of this submission'));
  });

  test('ends what does not end, and what takes all there is', () => {
    expect(verdict('endless-loop')).toMatchObject(message('did not end within 6 s'));
    expect(verdict('fork-bomb')).toMatchObject({ verdict: 'error' });
    expect(verdict('memory-hog')).toMatchObject(message('more than 320 MB'));
  });

  test('takes no verdict but the judge’s', () => {
    expect(verdict('forges-a-verdict')).toMatchObject(message('forgery'));
    expect(verdict('exits-0')).toMatchObject(message('before the check was over'));
    expect(verdict('leaves-its-function')).toMatchObject(message('cannot be read'));
    expect(verdict('lies-about-json')).toMatchObject({ verdict: 'error' });
    for (const name of ['prints-the-text', 'edits-its-tests'])
      expect(verdict(name), name).toMatchObject({ verdict: 'wrong' });
  });

  test('does not let one gap, or one learner, harm another', () => {
    for (const { name, marks } of others.learners)
      expect(marks[0]!.verdict.verdict, name).toBe(name === 'wrong-1' ? 'wrong' : 'passed');
  });

  test('leaves nothing on the machine', () => {
    for (const place of ['/etc', '/root', '/tmp', '/var/tmp'])
      expect(existsSync(`${place}/byod-grade-was-here`), place).toBe(false);
    expect(existsSync('/mnt/byod-grade-left')).toBe(false);
    expect(existsSync('/sys/class/net/byodgradeleft')).toBe(false);
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(CGROUP);
    const mine = `${CGROUP}-${process.pid}-`;
    for (const { mountPoint } of detectCgroups().hierarchies)
      expect(readdirSync(mountPoint).filter((name) => name.startsWith(mine))).toEqual([]);
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith(mine))).toEqual([]);
    const sleepers = readdirSync('/proc').filter(
      (pid) => /^\d+$/.test(pid) && commandOf(pid).split('\0').includes('98765'),
    );
    expect(sleepers).toEqual([]);
  });
});

const commandOf = (pid: string): string => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return ''; // it has ended meanwhile
  }
};

describe('results', () => {
  test('are kept: a run that was interrupted, even in the middle of a line, goes on where it stopped', async () => {
    const file = join(folder, 'out', 'results.jsonl');
    const whole = readFileSync(file, 'utf8');
    truncateSync(file, whole.length - 20);
    const judged: string[] = [];
    const again = await grade({
      paths: paths.slice(0, 2),
      gaps: selectGaps('01.1'),
      out: join(folder, 'out'),
      jobs: 1,
      limits,
      onMark: ({ learner }) => judged.push(learner),
    });
    expect(again.seed).toBe(7);
    expect(again.learners).toEqual(grades.learners.slice(0, 2));
    expect(judged).toEqual(['whole-ada', 'stub']);
    // One line was torn, and nothing of these two was judged again.
    expect(readFileSync(file, 'utf8').split('\n').length).toBe(whole.split('\n').length - 1);
  });

  test('become four reports, with points where weights are given, and say which gap is failed most', () => {
    const out = join(folder, 'reports');
    mkdirSync(out);
    writeReports(out, grades, { '01': 2 });
    const page = readFileSync(join(out, 'grades.html'), 'utf8');
    expect(page).not.toMatch(/(src|href)="(https?:)?\/\//);
    expect(page).toContain('prefers-color-scheme: dark');
    expect(readFileSync(join(out, 'grades.csv'), 'utf8')).toContain('whole-ada,1,2,passed\r\n');
    const xml = readFileSync(join(out, 'grades.xml'), 'utf8');
    expect(xml).toContain('<testsuite name="wrong-1" tests="1" failures="1" errors="0" skipped="0">');
    const data = JSON.parse(readFileSync(join(out, 'grades.json'), 'utf8')) as { summary: unknown };
    expect(data.summary).toEqual(summaryOf(grades, { '01': 2 }));
    expect(data.summary).toMatchObject({ most: 2, mostFailed: { id: '01.1' } });
  });
});

describe('npm run grade', () => {
  const command = [
    process.execPath,
    '--import',
    import.meta.resolve('tsx'),
    join(ROOT, 'workshop/cli.ts'),
    'grade',
  ];
  const run = (...words: string[]) =>
    spawnSync(command[0]!, [...command.slice(1), ...words], { encoding: 'utf8' });

  test('refuses what is no submission in one line', () => {
    const none = run(join(folder, 'nobody'));
    expect(none.stderr).toBe(`✗ ${folder}/nobody: there is no such folder\n`);
    expect(none.status).toBe(2);
    mkdirSync(join(folder, 'empty'));
    expect(() => findSubmissions([join(folder, 'empty')], folder)).toThrow('empty is not a submission');
    const weights = join(folder, 'weights.json');
    writeFileSync(weights, '{"09": 1}');
    expect(() => readWeights(weights, selectGaps('01'))).toThrow('there is no gap or chapter 09');
    const user = spawnSync('setpriv', ['--reuid', '65534', '--clear-groups', ...command, folder], {
      encoding: 'utf8',
    });
    expect(user.stderr).toBe('✗ checks judge the kernel, as root. Type: sudo npm run grade -- DIR...\n');
  });

  test('grades a bare git repository, in plain lines when piped', () => {
    const git = (...words: string[]) =>
      spawnSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', '-C', paths[0]!, ...words]);
    git('init', '--quiet');
    git('add', '.');
    git('commit', '--quiet', '-m', 'mine');
    git('clone', '--quiet', '--bare', '.', join(folder, 'ada.git'));
    const graded = run(
      join(folder, 'ada.git'),
      '--gaps',
      '01.1',
      '--seed',
      '3',
      '--out',
      join(folder, 'git'),
    );
    expect(graded.stderr).toBe('ada: 1 of 1 passed\n');
    expect(graded.stdout).toContain('1 of 1');
    expect(graded.status).toBe(0);
  });

  test('that is interrupted ends what it has started, and says how to go on', async () => {
    const loop = paths[names.indexOf('endless-loop')]!;
    const child = spawn(command[0]!, [
      ...command.slice(1),
      loop,
      '--gaps',
      '01.1',
      '--out',
      join(folder, 'cut'),
    ]);
    let said = '';
    child.stderr.on('data', (data: Buffer) => void (said += data.toString()));
    const mine = (): string[] =>
      readdirSync(detectCgroups().hierarchies[0]?.mountPoint ?? detectCgroups().unified!).filter((name) =>
        name.startsWith(`${CGROUP}-${child.pid}-`),
      );
    await expect.poll(mine, { timeout: 60_000 }).toHaveLength(1);
    child.kill('SIGINT');
    const [status] = (await once(child, 'close')) as [number];
    expect(said).toBe('interrupted: the same command goes on from here\n');
    expect(status).toBe(130);
    expect(mine()).toEqual([]);
  });
});
