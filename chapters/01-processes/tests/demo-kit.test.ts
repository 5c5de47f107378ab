import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

let dir: string;
beforeAll(() => void (dir = mkdtempSync(join(tmpdir(), 'demo-kit-'))));
afterAll(() => rmSync(dir, { recursive: true }));

const interrupt = (child: ChildProcess): void => void process.kill(-child.pid!, 'SIGINT');

/** Runs the example demo; `until` is text upon which something happens to it: SIGINT, unless something else is given. */
async function run(example: string, args: string[] = [], until?: string, happens = interrupt) {
  const folder = mkdtempSync(join(dir, 'run-'));
  const file = join(folder, 'file');
  const changed = (): bigint => statSync(folder, { bigint: true }).mtimeNs;
  const empty = changed();
  const child = spawn('node_modules/.bin/tsx', [join(import.meta.dirname, 'example-demo.ts'), ...args], {
    env: { ...process.env, EXAMPLE: example, EXAMPLE_FILE: file },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let out = '';
  let err = '';
  let happened = false;
  child.stdout.on('data', (data) => {
    out += data;
    if (happened || !until || !out.includes(until)) return;
    happened = true; // once: later there may be nobody left that it could happen to
    happens(child);
  });
  child.stderr.on('data', (data) => (err += data));
  const status = await new Promise((resolve) => child.on('close', resolve));
  // Whether there was a file, its folder knows also when the file is gone before anybody looks.
  return { status, out, err, hadFile: changed() !== empty, leftFile: existsSync(file) };
}

describe('a demo', () => {
  test('prints why, call, evidence and clean-up, and ends with status 0 when every claim held', async () => {
    const { status, out, hadFile, leftFile } = await run('hold');
    expect(out).toMatch(/WHY +to see a step/);
    expect(out).toMatch(/CALL +getpid\(\) = 42/);
    expect(out).toMatch(/EVIDENCE +uts namespace\n +host +a\n +container +b\n +✓ one is one/);
    expect(out).toMatch(/CLEAN-UP +first step cleaned/);
    expect(out).toContain('All 1 claims held.');
    expect({ status, hadFile, leftFile }).toEqual({ status: 0, hadFile: true, leftFile: false });
  });

  test('fails when a claim is false', async () => {
    const { status, out, leftFile } = await run('false');
    expect(out).toContain('✗ one is two');
    expect({ status, leftFile }).toEqual({ status: 1, leftFile: false });
  });

  test('fails when a step throws, and still cleans up', async () => {
    const { status, out, err, leftFile } = await run('throw');
    expect(err).toContain('failed: thrown in a step');
    expect(out).toContain('The demo failed.');
    expect(out).not.toContain('claims held.');
    expect({ status, leftFile }).toEqual({ status: 1, leftFile: false });
  });

  test('cleans up on Ctrl-C', async () => {
    const { status, leftFile } = await run('wait', [], 'waiting');
    expect({ status, leftFile }).toEqual({ status: 130, leftFile: false });
  });

  test('cleans up when whoever reads its output goes away', async () => {
    const { status, leftFile } = await run(
      'chatter',
      [],
      'still here',
      (child) => void child.stdout!.destroy(),
    );
    expect({ status, leftFile }).toEqual({ status: 141, leftFile: false });
  });

  test('gives the same as data with --json', async () => {
    const { out } = await run('hold', ['--json']);
    const data = JSON.parse(out);
    expect(data).toMatchObject({ title: '00 example', held: true });
    expect(data.steps[0]).toMatchObject({
      why: 'to see a step',
      calls: [{ call: 'getpid()', result: '42' }],
      evidence: [{ what: 'uts namespace', values: { host: 'a', container: 'b' } }],
      claims: [{ claim: 'one is one', held: true }],
      cleanup: ['first step cleaned'],
    });
  });

  test('refuses an unknown argument with status 2, before it does anything', async () => {
    const { status, err, hadFile } = await run('hold', ['--jsno']);
    expect(err).toContain('unknown argument --jsno');
    expect({ status, hadFile }).toEqual({ status: 2, hadFile: false });
  });
});
