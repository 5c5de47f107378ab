import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeExecutable } from '../index.ts';

test('an executable works from any directory, by a symbolic link, and without any environment', async () => {
  // Below a package of ES modules, as final/bin/ is.
  const dir = mkdtempSync(join(tmpdir(), 'executable-'));
  writeFileSync(join(dir, 'package.json'), '{ "type": "module" }');
  try {
    const out = join(dir, 'bin', 'example');
    await makeExecutable({
      source: join(import.meta.dirname, 'example-program.ts'),
      out,
      singleThreaded: true,
    });
    symlinkSync(out, join(dir, 'link'));
    const printed = execFileSync(join(dir, 'link'), ['a b', '--c'], { cwd: '/', env: {}, encoding: 'utf8' });
    expect(JSON.parse(printed)).toEqual({
      status: { kind: 'exited', code: 4 },
      args: ['a b', '--c'],
      cwd: '/',
    });
    expect(readFileSync(out, 'utf8')).not.toMatch(/chalk|esbuild/); // what the program does not use stays out
  } finally {
    rmSync(dir, { recursive: true });
  }
});
