import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { judge } from '../reports.ts';

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'reports-'))));
afterEach(() => rmSync(folder, { recursive: true }));

const step = (vitest: boolean) => ({ name: 'suites', command: '', vitest, words: [] });
const leave = (ending: string, text: string): void => writeFileSync(join(folder, `suites.${ending}`), text);

/** A report as vitest writes it, of one file with tests of these statuses. */
const report = (statuses: string[], message = ''): string =>
  JSON.stringify({
    numTotalTests: statuses.length,
    numPassedTests: statuses.filter((status) => status === 'passed').length,
    testResults: [
      {
        name: '/workshop/chapters/01-processes/tests/x.test.ts',
        message,
        assertionResults: statuses.map((status, i) => ({ fullName: `test ${i}`, status })),
      },
    ],
  });

describe('a run of vitest in the machine', () => {
  test('has passed when every test has, and it ended well', () => {
    leave('status', '0 61\n');
    leave('json', report(['passed', 'passed']));
    expect(judge(step(true), folder)).toEqual({ step: 'suites', seconds: 61, passed: 2, failures: [] });
  });

  test('has failed with a test that failed, or was skipped', () => {
    leave('status', '1 7\n');
    leave('json', report(['passed', 'failed', 'skipped', 'pending', 'todo']));
    expect(judge(step(true), folder)).toEqual({
      step: 'suites',
      seconds: 7,
      passed: 1,
      failures: [
        'it ended with status 1',
        'chapters/01-processes/tests/x.test.ts: failed: test 1',
        'chapters/01-processes/tests/x.test.ts: skipped: test 2',
        'chapters/01-processes/tests/x.test.ts: pending: test 3',
        'chapters/01-processes/tests/x.test.ts: todo: test 4',
      ],
    });
  });

  test('has failed when it ran no test, whatever its status', () => {
    leave('status', '0 5\n');
    leave('json', report([], 'SyntaxError: here\nand there'));
    expect(judge(step(true), folder).failures).toEqual([
      'chapters/01-processes/tests/x.test.ts: no test ran: SyntaxError: here',
      'no test ran',
    ]);
  });

  test('has failed without a report', () => {
    leave('status', '0 5\n');
    expect(judge(step(true), folder).failures).toEqual(['no report']);
  });

  test('has failed when it did not end: a panic, the time limit', () => {
    leave('json', report(['passed']));
    expect(judge(step(true), folder)).toEqual({
      step: 'suites',
      passed: 1,
      failures: ['it did not run to its end'],
    });
    rmSync(join(folder, 'suites.json'));
    expect(judge(step(true), folder).failures).toEqual(['it did not run to its end', 'no report']);
  });
});

test('a command has passed when its status is 0, and no report is asked for', () => {
  expect(judge(step(false), folder)).toMatchObject({ passed: 0, failures: ['it did not run to its end'] });
  leave('status', '0 5\n');
  expect(judge(step(false), folder)).toEqual({ step: 'suites', seconds: 5, passed: 1, failures: [] });
  leave('status', '7 5\n');
  expect(judge(step(false), folder).failures).toEqual(['it ended with status 7']);
});
