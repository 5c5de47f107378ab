import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isAlive } from '../../chapters/01-processes/index.ts';
import { detectCgroups } from '../../chapters/03-cgroups/index.ts';
import { withGap } from '../gaps.ts';
import { WORDS } from '../judge-process.ts';
import { selectGap } from '../learner.ts';
import { CHECK_FOLDER } from '../leftovers.ts';
import { copyWorkshop, mine, type WorkshopCopy } from './workshop-copy.ts';

// What goes wrong at a learner's desk, and that nothing is lost by it.

let copy: WorkshopCopy;
beforeAll(() => {
  copy = copyWorkshop();
  expect(copy.run('begin').status).toBe(0);
});
afterAll(() => copy.remove());

const gap = selectGap('01.1');
const fill = (code: string): void => put(withGap(gap.file, mine(copy, gap.file), gap.id, code));
const put = (text: string): void => writeFileSync(join(copy.root, 'my', gap.file), text);
/** Code that shows where it is, and then goes on for ever. */
const endless = (sign: string): string =>
  `process.getBuiltinModule('fs').writeFileSync('${sign}', ''); for (;;);`;

test('an unknown gap is refused with those that there are, by every command that takes one', () => {
  for (const command of ['check', 'hint', 'prove']) {
    const { stderr, status } = copy.run(command, '01.77');
    expect(stderr, command).toMatch(/^✗ there is no gap 01\.77\. There are: 01\.1, 01\.2/);
    expect(status, command).toBe(2);
  }
});

describe('a broken file of the learner', () => {
  test('is their own error, with file and line, and no stack of ours', () => {
    fill('const a = ;');
    const line =
      mine(copy, gap.file)
        .split('\n')
        .findIndex((text) => text.includes('const a = ;')) + 1;
    const { stdout, stderr, status } = copy.run('check', '01.1');
    expect(stdout).toContain('01.1 parseStat: error');
    expect(stdout).toContain('SyntaxError: Unexpected ";"');
    expect(stdout).toContain(`where to look my/${gap.file}:${line}`);
    expect(stdout + stderr).not.toMatch(/node_modules|workshop\/\w|^ {4}at /m);
    expect(status).toBe(1);
  });

  test('that throws is told with the line that threw, and with what it had printed', () => {
    fill(`console.log('so far');\nthrow new TypeError('of mine');`);
    const line =
      mine(copy, gap.file)
        .split('\n')
        .findIndex((text) => text.includes('of mine')) + 1;
    const { stdout } = copy.run('check', '01.1');
    expect(stdout).toContain('TypeError: of mine');
    expect(stdout).toContain(`my/${gap.file}:${line}`);
    expect(stdout).toMatch(/it printed +so far/);
  });

  test('that imports what is not there is told so', () => {
    const before = mine(copy, gap.file);
    put(`import { nothing } from './signals.ts';\nexport const use = nothing;\n${before}`);
    const { stdout } = copy.run('check', '01.1');
    expect(stdout).toMatch(
      /No matching export in "chapters\/01-processes\/signals\.ts" for import "nothing"/,
    );
    expect(stdout).toContain(`my/${gap.file}:1`);
    put(before);
  });

  test('without its markers says how they look', () => {
    const before = mine(copy, gap.file);
    put(before.replace(/(\/\/#gap 01\.1 [^]*?)^.*\/\/#end.*\n/m, '$1'));
    for (const words of [['progress'], ['solution', '01.1', '--apply'], ['reset', '01.1']]) {
      const { stderr, status } = copy.run(...words);
      expect(stderr, words.join(' ')).toMatch(/^✗ my\/chapters\/01-processes\/proc\.ts.*01\.1/);
      expect(status).toBe(2);
    }
    expect(copy.run('check', '01.1').stdout).toMatch(/01\.1 parseStat/);
    put(before);
  });
});

describe('a check', () => {
  test('while another one runs in the tree is refused, and so is what would change gaps', async () => {
    const sign = join(copy.root, 'sign-1');
    fill(endless(sign));
    const first = copy.start('check', '01.1');
    await expect.poll(() => existsSync(sign), { timeout: 60_000 }).toBe(true);
    for (const words of [['check'], ['solution', '01.1', '--apply'], ['reset', '01.1']])
      expect(copy.run(...words).stderr, words[0]).toBe(
        `✗ another check runs in this tree (process ${first.child.pid}): wait for it, or end it\n`,
      );
    first.child.kill('SIGINT');
    expect(await first.status).toBe(130);
    expect(copy.run('check', '01.2').stdout).toContain('not started');
  });

  test('that is interrupted ends what it began, leaves nothing, and loses nothing', async () => {
    const sign = join(copy.root, 'sign-2');
    fill(endless(sign));
    const before = mine(copy, gap.file);
    const run = copy.start('check', '01.1');
    await expect.poll(() => existsSync(sign), { timeout: 60_000 }).toBe(true);
    run.child.kill('SIGINT');
    expect(await run.status).toBe(130);
    expect(run.said()).toContain('interrupted');
    expect(mine(copy, gap.file)).toBe(before);
    expect(existsSync(join(copy.root, 'my/.check.lock'))).toBe(false);
    const folders = [...readdirSync(tmpdir()), ...readdirSync(join(copy.root, 'node_modules'))];
    expect(folders.filter((name) => name.includes(`${CHECK_FOLDER}-${run.child.pid}-`))).toEqual([]);
  });

  test('that is killed takes its processes with it; the rest goes with the next check, or reset --kernel', async () => {
    const sign = join(copy.root, 'sign-3');
    fill(`process.getBuiltinModule('fs').writeFileSync('${sign}', ''); for (;;);`);
    const run = copy.start('check', '01.1');
    await expect.poll(() => existsSync(sign), { timeout: 60_000 }).toBe(true);
    run.child.kill('SIGKILL');
    await run.status;
    const folder = readdirSync(tmpdir()).find((name) =>
      name.startsWith(`${CHECK_FOLDER}-${run.child.pid}-`),
    )!;
    expect(isAlive(run.child.pid!)).toBe(false);
    // As a check of cgroups would have left it: a cgroup whose name holds a word that was drawn.
    const { hierarchies, unified } = detectCgroups();
    const cgroup = join(hierarchies[0]?.mountPoint ?? unified!, 'check-qqqqzzzz');
    mkdirSync(cgroup);
    try {
      writeFileSync(join(tmpdir(), folder, WORDS), 'qqqqzzzz\n');
      const { stdout, status } = copy.run('reset', '--kernel');
      expect(stdout).toContain(`taken away: cgroup ${cgroup}\n`);
      expect(stdout).toContain(`taken away: folder ${join(tmpdir(), folder)}\n`);
      expect(status).toBe(0);
      expect(existsSync(cgroup)).toBe(false);
      expect(existsSync(join(tmpdir(), folder))).toBe(false);
    } finally {
      if (existsSync(cgroup)) rmdirSync(cgroup);
    }
  });
});

describe('a my/ from an older version of the workshop', () => {
  const layer = (): string => join(copy.root, gap.file);
  const reference = (): string => readFileSync(layer(), 'utf8');

  test('is moved over without loss: code in gaps, hints, and what else was written', () => {
    fill('return mine();');
    copy.run('hint', '01.1');
    // The workshop goes on: another comment, another number for the gap, a file more.
    const before = reference();
    const other = 'chapters/01-processes/signals.ts';
    try {
      writeFileSync(
        layer(),
        before.replace('//#gap 01.1 parseStat', '//#gap 01.9 parseStat').concat('// newer\n'),
      );
      writeFileSync(join(copy.root, 'chapters/01-processes/another.ts'), 'export const another = 1;\n');
      writeFileSync(join(copy.root, other), `${readFileSync(join(copy.root, other), 'utf8')}// newer\n`);
      writeFileSync(join(copy.root, 'my', other), `${mine(copy, other)}// of the learner, outside of gaps\n`);
      expect(copy.run('progress').stderr).toContain('my/ is from an older version of the workshop');
      const begun = JSON.parse(copy.run('begin', '--json').stdout) as object;
      expect(begun).toEqual({
        made: ['chapters/01-processes/another.ts'],
        updated: [gap.file, other].sort(),
        kept: [`${other}.before-update`],
      });
      expect(mine(copy, gap.file)).toContain('//#gap 01.9 parseStat\n  return mine();\n  //#end');
      expect(mine(copy, gap.file)).toContain('// newer');
      expect(mine(copy, other)).toMatch(/\/\/ newer\n$/);
      expect(mine(copy, `${other}.before-update`)).toContain('// of the learner, outside of gaps');
      const row = (
        JSON.parse(copy.run('progress', '--json').stdout) as { gap: string; hints: number }[]
      ).find((each) => each.gap === '01.9');
      expect(row).toMatchObject({ state: 'begun', hints: 1 });
      expect(copy.run('begin').stdout).toContain('nothing was changed');
    } finally {
      writeFileSync(layer(), before);
    }
  });

  test('that remembers nothing of what it was made from loses nothing either', () => {
    rmSync(join(copy.root, 'my/.workshop.json'));
    const text = mine(copy, gap.file);
    const { kept } = JSON.parse(copy.run('begin', '--json').stdout) as { kept: string[] };
    expect(kept).toContain(`${gap.file}.before-update`);
    expect(mine(copy, `${gap.file}.before-update`)).toBe(text);
    expect(mine(copy, gap.file)).toContain('//#gap 01.1 parseStat\n  return mine();');
  });
});
