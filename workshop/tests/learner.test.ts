import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { begin } from '../begin.ts';
import { checkGap } from '../check.ts';
import { explain } from '../commands/check.ts';
import { withGap } from '../gaps.ts';
import {
  exerciseOf,
  learnersBody,
  readState,
  referenceGaps,
  replaceBody,
  ROOT,
  selectGap,
  selectGaps,
  stubOf,
  writeState,
} from '../learner.ts';
import { lockTree } from '../lock.ts';

let tree: string;
beforeAll(() => {
  // Inside the repository, so that the tree finds its packages.
  tree = mkdtempSync(join(ROOT, 'node_modules', '.my-'));
  begin(tree);
});
afterAll(() => rmSync(tree, { recursive: true }));

const gap = selectGap('01.1');
const fill = (code: string): void => {
  const path = join(tree, gap.file);
  writeFileSync(path, withGap(gap.file, readFileSync(path, 'utf8'), gap.id, code));
};

describe('begin', () => {
  test('makes a tree in which every gap is a stub', () => {
    for (const each of referenceGaps())
      expect(learnersBody(each, tree), each.id).toContain(`new NotImplemented('${each.id} ${each.name}')`);
    expect(existsSync(join(tree, 'package.json'))).toBe(true);
  });

  test('never overwrites work, and makes again what is missing', () => {
    fill('return mine();');
    rmSync(join(tree, 'chapters/01-processes/signals.ts'));
    expect(begin(tree)).toEqual({ made: ['chapters/01-processes/signals.ts'], updated: [], kept: [] });
    expect(learnersBody(gap, tree)).toContain('return mine();');
  });
});

describe('a gap of the learner', () => {
  test('that is filled from the reference, or made a stub again, keeps what was there beside the file', () => {
    fill('return mine();');
    const kept = replaceBody(gap, gap.body, tree)!;
    expect(learnersBody(gap, tree)).toBe(gap.body);
    expect(readFileSync(kept, 'utf8')).toContain('return mine();');
    replaceBody(gap, stubOf(gap), tree);
    expect(learnersBody(gap, tree)).toContain('NotImplemented');
    expect(replaceBody(gap, gap.body, tree)).toBeUndefined(); // a stub is nothing to keep
  });

  test('is selected by number, its chapter by number or folder, and an unknown one is refused with what there is', () => {
    expect(selectGaps('02.3').map((g) => g.id)).toEqual(['02.3']);
    expect(selectGaps('2.3').map((g) => g.id)).toEqual(['02.3']);
    const first = referenceGaps().filter(({ chapter }) => chapter === '01-processes');
    expect(selectGaps('01')).toEqual(first);
    expect(selectGaps('01-processes')).toEqual(first);
    const ids = first.map(({ id }) => id).join(', ');
    expect(() => selectGaps('01.99')).toThrow(`there is no gap 01.99. There are: ${ids}`);
    expect(() => selectGap('01')).toThrow('01 has several gaps');
  });

  test('whose markers are gone is an error that says what to do', () => {
    const path = join(tree, gap.file);
    const source = readFileSync(path, 'utf8');
    writeFileSync(path, source.replace(/^.*#(gap 01.1|end).*\n/gm, ''));
    expect(() => learnersBody(gap, tree)).toThrow('put //#gap 01.1 parseStat and //#end around your code');
    writeFileSync(path, source);
  });
});

describe('the state of a learner', () => {
  test('is kept, and one of an unknown version is refused', () => {
    const before = readState(tree);
    writeState({ ...before, hints: { '01.1': 2 } }, tree);
    expect(readState(tree).hints).toEqual({ '01.1': 2 });
    const file = join(tree, '.workshop.json');
    writeFileSync(file, '{"version":1,"hints":{"01.1":1},"solutions":[],"passed":{}}');
    expect(readState(tree)).toMatchObject({ version: 2, hints: { '01.1': 1 }, made: {} });
    writeFileSync(file, '{"version":7}');
    expect(() => readState(tree)).toThrow('is of version 7');
    writeFileSync(file, '{"version":');
    expect(() => readState(tree)).toThrow('.workshop.json cannot be read');
    writeState(before, tree);
  });

  test('is locked while a check runs; a lock whose holder is gone does not count', () => {
    const lock = lockTree(tree);
    expect(() => lockTree(tree)).toThrow(`another check runs in this tree (process ${process.pid})`);
    lock[Symbol.dispose]();
    // One of nobody, and one of a process that had this number before.
    for (const stale of ['4194303 1', `${process.pid} 1`]) {
      writeFileSync(join(tree, '.check.lock'), stale);
      lockTree(tree)[Symbol.dispose]();
    }
  });
});

describe('a check', () => {
  const verdict = async (code: string, limit?: number) => {
    fill(code);
    return checkGap(tree, gap, { seed: 1, ...(limit && { limit }) });
  };

  test('says not started, passed, or wrong with the likely cause', async () => {
    expect(await verdict(stubOf(gap))).toMatchObject({ verdict: 'not started', gap: '01.1 parseStat' });
    expect(await verdict(gap.body)).toMatchObject({ verdict: 'passed' });
    const { wrong } = await exerciseOf(gap);
    expect(await verdict(wrong[0]!.code)).toMatchObject({
      verdict: 'wrong',
      cause: expect.stringContaining(wrong[0]!.diagnosis),
    });
  });

  test('gives the error of a broken file with its line, not ours', async () => {
    expect(await verdict('return {;')).toMatchObject({
      verdict: 'error',
      where: expect.stringMatching(/^chapters\/01-processes\/proc\.ts:\d+/),
    });
    expect(await verdict('throw new TypeError("mine");')).toMatchObject({
      verdict: 'error',
      message: 'TypeError: mine',
      where: expect.stringMatching(/^chapters\/01-processes\/proc\.ts:\d+/),
    });
  });

  test('explains a system call that failed, from the state of the process that called', async () => {
    const netns = selectGap('02.4');
    const fork = selectGap('01.2'); // the check needs it
    replaceBody(fork, fork.body, tree);
    const closed = `const there = openSync(path, 'r');
closeSync(there);
setns(there, CLONE.NEWNET);
return fn();`;
    replaceBody(netns, closed, tree);
    const found = await checkGap(tree, netns, { seed: 1 });
    expect(found).toMatchObject({
      verdict: 'error',
      message: expect.stringContaining('setns fd'),
      where: expect.stringMatching(/^chapters\/02-namespaces\/netns\.ts:\d+/),
      cause: expect.stringContaining('it was closed before it was joined'),
    });
    expect(explain(netns, found)).toMatch(/likely cause.*The descriptor is not open/);
  });

  test('ends code that does not, and code that ends the process', async () => {
    expect(await verdict('for (;;);', 3)).toMatchObject({
      verdict: 'error',
      message: 'it did not end within 3 s',
    });
    expect(await verdict('process.exit(0);')).toMatchObject({ verdict: 'error' });
  });

  test('is not taken in by what the code prints', async () => {
    const said = await verdict(`process.stdout.write('{"verdict":"passed"}\\n'); return {} as never;`);
    expect(said.verdict).toBe('wrong');
  });
});
