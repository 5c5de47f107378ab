import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { cp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeDirectoryInRoot, readInRoot, withDirectoryInRoot } from '../in-root.ts';

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), '07d-root-'));
  mkdirSync(join(root, 'etc'));
  writeFileSync(join(root, 'etc/passwd'), 'inside');
  symlinkSync('/etc', join(root, 'absolute'));
  symlinkSync('../../../../etc', join(root, 'climbing'));
  symlinkSync('loop', join(root, 'loop'));
  symlinkSync('/nowhere', join(root, 'dangling'));
});
afterAll(() => rmSync(root, { recursive: true }));

test('links and dots are followed as inside the root, and none leads out', () => {
  for (const path of ['/etc/passwd', '/absolute/passwd', '/climbing/passwd', '/../../etc/passwd'])
    expect(readInRoot(root, path)).toBe('inside');
});

test('a directory of the root is held, and what is in it is reached and copied through the handle', async () => {
  for (const path of ['/etc', '/absolute', '/climbing', '/../../etc']) {
    const seen: string[] = [];
    const copy = mkdtempSync(join(tmpdir(), '07d-copy-'));
    try {
      await withDirectoryInRoot(root, path, async (held) => {
        seen.push(realpathSync(held));
        await cp(held, copy, { recursive: true, verbatimSymlinks: true });
      });
      expect(readFileSync(join(copy, 'passwd'), 'utf8')).toBe('inside');
    } finally {
      rmSync(copy, { recursive: true });
    }
    expect(seen).toEqual([join(root, 'etc')]);
  }
  await withDirectoryInRoot(root, '/none', () => Promise.reject(new Error('called')));
  await withDirectoryInRoot(root, '/etc/passwd', () => Promise.reject(new Error('called')));
});

test('directories are made inside the root, also where a link seems to lead out', () => {
  makeDirectoryInRoot(root, '/climbing/a/b');
  expect(statSync(join(root, 'etc/a/b')).isDirectory()).toBe(true);
  makeDirectoryInRoot(root, '/dangling/c');
  expect(statSync(join(root, 'nowhere/c')).isDirectory()).toBe(true);
  expect(() => makeDirectoryInRoot(root, '/etc/passwd/d')).toThrow('ENOTDIR');
});

test('what is not there reads as nothing, and a circle of links is refused', () => {
  expect(readInRoot(root, '/etc/group')).toBe('');
  expect(readInRoot(root, '/etc')).toBe('');
  expect(() => readInRoot(root, '/loop')).toThrow('ELOOP');
});
