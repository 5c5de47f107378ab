import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { noteSeen } from '../stuck-tests.ts';

const ROOT = join(import.meta.dirname, '..', '..');

test('a file of tests that blocks for ever is ended, the others run, and the run fails', async () => {
  // In the checkout, where vitest is found, and where `npm test` does not look.
  mkdirSync(join(ROOT, 'dist'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, 'dist/stuck-'));
  try {
    mkdirSync(join(folder, 'workshop'));
    const file = (name: string, body: string): void =>
      writeFileSync(
        join(folder, 'workshop', `${name}.test.ts`),
        `import { test } from 'vitest'; test('a test', () => { ${body} });`,
      );
    file('blocks', 'for (;;); /* longer, and so the first */');
    file('runs', '');
    const report = join(folder, 'report.json');
    const words = [
      '--root',
      folder,
      '--config',
      join(ROOT, 'vitest.config.ts'),
      '--testTimeout=4000',
      '--reporter=json',
      `--outputFile.json=${report}`,
    ];
    const { status, text } = await run('node_modules/.bin/vitest', ['run', ...words]);
    expect([status, text]).toEqual([
      1,
      expect.stringMatching(/ended a file of tests that has run for 20 s: process \d+/),
    ]);
    expect(JSON.parse(readFileSync(report, 'utf8'))).toMatchObject({ numTotalTests: 2, numPassedTests: 1 });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a number that is used again is another file’s, which has just begun', () => {
  const since = new Map<number, number>();
  noteSeen(since, [7, 8], 0);
  noteSeen(since, [8], 1);
  noteSeen(since, [7, 8], 700);
  expect([...since]).toEqual([
    [8, 0],
    [7, 700],
  ]);
});

/** A program's status and what it printed. It does not outlive its test. */
function run(program: string, args: string[]): Promise<{ status: number | null; text: string }> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], timeout: 115_000 });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (text += data));
    child.once('close', (status) => resolve({ status, text }));
  });
}
