import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { remove } from '../remove.ts';

const dir = mkdtempSync(join(tmpdir(), 'ch05-'));
afterAll(() => rmSync(dir, { recursive: true }));

it('removes a folder with all that is in it, and follows no link out of it', () => {
  mkdirSync(join(dir, 'outside'));
  writeFileSync(join(dir, 'outside', 'file'), 'stays');
  const state = join(dir, 'state');
  mkdirSync(join(state, 'notify', 'deeper'), { recursive: true });
  writeFileSync(join(state, 'notify', 'file'), '');
  symlinkSync('../outside', join(state, 'link'));
  symlinkSync('nowhere', join(state, 'broken'));
  remove(state);
  expect(existsSync(state)).toBe(false);
  expect(readFileSync(join(dir, 'outside', 'file'), 'utf8')).toBe('stays');
});

it('removes a file or a link, and passes over what is not there', () => {
  writeFileSync(join(dir, 'file'), '');
  symlinkSync('outside', join(dir, 'link'));
  for (const name of ['file', 'link', 'link', 'missing']) remove(join(dir, name));
  expect(existsSync(join(dir, 'file')) || existsSync(join(dir, 'link'))).toBe(false);
  expect(existsSync(join(dir, 'outside'))).toBe(true);
});
