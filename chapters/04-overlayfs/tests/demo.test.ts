import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { needsRoot, scratch } from './scratch.ts';

needsRoot();

/**
 * Runs the demo with a temporary folder of its own, so that what it leaves can be told from what others leave. One that is to be interrupted
 * asks before each step, and is not told to go on after that one: so it cannot be over before it hears of it.
 */
async function runDemo(
  dir: string,
  options: { interruptAt?: string } = {},
): Promise<{ status: number; out: string; said: string }> {
  const child = spawn(
    process.execPath,
    [
      '--single-threaded',
      '--import',
      'tsx',
      'chapters/04-overlayfs/demo.ts',
      options.interruptAt ? '--step' : '--json',
    ],
    { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, TMPDIR: dir }, timeout: 110_000 },
  );
  let out = '';
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const before = out;
    out += text;
    if (!options.interruptAt || before.includes(options.interruptAt)) return;
    if (out.includes(options.interruptAt)) child.kill('SIGINT');
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    // Not before what has come of the other stream is read, too.
    if (text.includes('Enter for'))
      setImmediate(() => out.includes(options.interruptAt!) || child.stdin.write('\n'));
  });
  child.stdin.on('error', () => undefined); // it has ended
  const [status] = (await once(child, 'close')) as [number];
  return { status, out, said };
}

function expectNothingLeft(dir: string): void {
  expect(readdirSync(dir).filter((name) => name.startsWith('o4-demo-'))).toEqual([]);
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(join(dir, 'o4-demo-'));
}

describe('the demo', () => {
  test('holds every claim that it makes, and leaves nothing behind', async () => {
    const dir = scratch();
    const { status, out, said } = await runDemo(dir);
    const { held, steps } = JSON.parse(out) as {
      held: boolean;
      steps: { title: string; claims: { claim: string; held: boolean }[] }[];
    };
    const broken = steps.flatMap(({ claims }) => claims).filter((claim) => !claim.held);
    expect(broken).toEqual([]);
    expect([status, held], said).toEqual([0, true]);
    expect(steps.length).toBe(14);
    expectNothingLeft(dir);
  });

  test.each([
    'Two directories seen as one',
    'An image, by digest',
    'Two containers on one image',
    'A Dockerfile is a list of layers',
    'A registry',
    'Three ways to keep',
  ])('leaves nothing behind when it is interrupted in the step "%s"', async (step) => {
    const dir = scratch();
    const { status, said } = await runDemo(dir, { interruptAt: step });
    expect(status, said).toBe(130);
    expectNothingLeft(dir);
  });
});
