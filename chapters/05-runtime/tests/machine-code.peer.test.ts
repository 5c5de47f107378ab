import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { beforeExec } from './tiny-programs.ts';

// qemu-user runs the instructions of another kind of machine, and hands the system calls to this kernel.

it('the trampoline’s code for arm64 does on it what that for x86-64 does here', () => {
  const dir = mkdtempSync(join(tmpdir(), 'ch05-tiny-'));
  try {
    const run = beforeExec(dir, 'arm64', 'qemu-aarch64-static');
    expect(run(['/bin/echo', 'echo', 'two  words'], 'x')).toEqual({
      status: 0,
      stdout: 'first\ntwo  words\n',
      stderr: '',
    });
    expect(run(['/no/such', 'x'], 'x')).toEqual({ status: 1, stdout: 'first\n', stderr: 'no program\n' });
    expect(run(['/bin/echo', 'echo'], undefined).stderr).toBe('nothing to read\n');
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
