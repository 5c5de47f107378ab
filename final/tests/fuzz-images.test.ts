import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const fuzz = (...args: string[]) =>
  spawnSync(
    process.execPath,
    ['--import', 'tsx', join(import.meta.dirname, '../suite.ts'), 'fuzz', 'images', ...args],
    {
      encoding: 'utf8',
      timeout: 280_000,
    },
  );

test(
  'a few hundred mutated images do no harm; each of every kind is tried, and some of them are taken',
  { timeout: 300_000 },
  () => {
    const { status, stdout, stderr } = fuzz('--count', '300', '--seed', '4');
    expect({ status, stderr }, stdout).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('300 cases: no crash, no hang, nothing reached outside, nothing left');
    for (const kind of ['layer', 'archive', 'documents', 'registry', 'dockerfile', 'text'])
      expect(stdout).toMatch(new RegExp(`${kind} +[1-9]\\d* taken, [1-9]\\d* refused`));
  },
);

test('options that are none are refused before anything is tried', () => {
  expect(fuzz('--count', '0')).toMatchObject({ status: 2, stdout: '' });
  expect(fuzz('--cases', '1')).toMatchObject({ status: 2, stdout: '' });
});
