import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
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
    expect(codeOf(out).toString()).not.toMatch(/chalk|esbuild/); // what the program does not use stays out
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('V8 takes the cache that was made of an executable; one that it does not take is no loss but time', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'executable-'));
  try {
    const out = join(dir, 'example');
    await makeExecutable({
      source: join(import.meta.dirname, 'example-program.ts'),
      out,
      singleThreaded: true,
    });
    // The same start as the executable's own, and what V8 said of the cache.
    const asked = join(dir, 'asked');
    writeFileSync(
      asked,
      readFileSync(out, 'utf8').replace('script.run', 'console.log(script.cachedDataRejected);$&'),
    );
    const start = (): string[] =>
      execFileSync(process.execPath, ['--single-threaded', asked], { env: {}, encoding: 'utf8' }).split('\n');
    const ran = { status: { kind: 'exited', code: 4 } };
    const [rejected, said] = start();
    expect([rejected, JSON.parse(said!)]).toMatchObject(['false', ran]);

    // As another V8 has written it: its first words say for whom it is.
    const whole = readFileSync(programOf(out));
    whole.fill(0, 4 + codeOf(out).length, 4 + codeOf(out).length + 16);
    writeFileSync(programOf(out), whole);
    const [rejectedNow, saidNow] = start();
    expect([rejectedNow, JSON.parse(saidNow!)]).toMatchObject(['true', ran]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

const programOf = (out: string): string => join(dirname(out), `.${basename(out)}.program`);

function codeOf(out: string): Buffer {
  const file = readFileSync(programOf(out));
  return file.subarray(4, 4 + file.readUInt32LE());
}
