import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tinyProgram } from '../machine-code.ts';
import { beforeExec } from './tiny-programs.ts';

let dir: string;
beforeAll(() => void (dir = mkdtempSync(join(tmpdir(), 'ch05-tiny-'))));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

it('makes its calls in their order, and becomes the program that its arguments name', () => {
  const run = beforeExec(dir, process.arch);
  expect(run(['/bin/echo', 'echo', 'two  words'], 'x')).toEqual({
    status: 0,
    stdout: 'first\ntwo  words\n',
    stderr: '',
  });
});

it('says which call failed, and stops there', () => {
  const run = beforeExec(dir, process.arch);
  expect(run(['/no/such', 'x'], 'x')).toEqual({ status: 1, stdout: 'first\n', stderr: 'no program\n' });
  expect(run(['/bin/echo', 'echo'], undefined)).toEqual({
    status: 1,
    stdout: 'first\n',
    stderr: 'nothing to read\n',
  });
  expect(run(['/bin/echo'], 'x')).toEqual({ status: 1, stdout: 'first\n', stderr: 'no program\n' });
});

it('is written for two kinds of machines, and not for others', () => {
  const headers = (['x64', 'arm64'] as const).map((arch) => tinyProgram(arch, () => [], 'text')!);
  for (const program of headers) {
    expect(program.subarray(0, 4).toString('latin1')).toBe('\x7fELF');
    expect(program.length).toBeLessThan(400);
  }
  expect(headers.map((program) => program.readUInt16LE(18))).toEqual([62, 183]);
  expect(tinyProgram('mips', () => [], 'text')).toBeUndefined();
});
