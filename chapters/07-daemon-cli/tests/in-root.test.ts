import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readInRoot, resolveInRoot } from '../in-root.ts';

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), '07d-root-'));
  mkdirSync(join(root, 'etc'));
  writeFileSync(join(root, 'etc/passwd'), 'inside');
  symlinkSync('/etc', join(root, 'absolute'));
  symlinkSync('../../../../etc', join(root, 'climbing'));
  symlinkSync('loop', join(root, 'loop'));
});
afterAll(() => rmSync(root, { recursive: true }));

test('links and dots are followed as inside the root, and none leads out', () => {
  for (const path of ['/etc/passwd', '/absolute/passwd', '/climbing/passwd', '/../../etc/passwd']) {
    expect(resolveInRoot(root, path)).toBe(join(root, 'etc/passwd'));
    expect(readInRoot(root, path)).toBe('inside');
  }
});

test('what is not there reads as nothing, and a circle of links is refused', () => {
  expect(readInRoot(root, '/etc/group')).toBe('');
  expect(readInRoot(root, '/etc')).toBe('');
  expect(() => resolveInRoot(root, '/loop')).toThrow('too many levels');
});
