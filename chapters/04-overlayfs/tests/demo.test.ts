import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { needsRoot, scratch } from './scratch.ts';

needsRoot();

/** Runs the demo with a temporary folder of its own, so that what it leaves can be told from what others leave. */
async function runDemo(
  dir: string,
  options: { interruptAt?: string } = {},
): Promise<{ status: number; out: string }> {
  const child = spawn(
    process.execPath,
    [
      '--single-threaded',
      '--import',
      'tsx',
      'chapters/04-overlayfs/demo.ts',
      ...(options.interruptAt ? [] : ['--json']),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, TMPDIR: dir } },
  );
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
    if (options.interruptAt && out.includes(options.interruptAt)) child.kill('SIGINT');
  });
  const [status] = (await once(child, 'close')) as [number];
  return { status, out };
}

function expectNothingLeft(dir: string): void {
  expect(readdirSync(dir).filter((name) => name.startsWith('o4-demo-'))).toEqual([]);
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(join(dir, 'o4-demo-'));
}

describe('the demo', () => {
  test('holds every claim that it makes, and leaves nothing behind', async () => {
    const dir = scratch();
    const { status, out } = await runDemo(dir);
    const { held, steps } = JSON.parse(out) as {
      held: boolean;
      steps: { title: string; claims: { claim: string; held: boolean }[] }[];
    };
    const broken = steps.flatMap(({ claims }) => claims).filter((claim) => !claim.held);
    expect(broken).toEqual([]);
    expect([status, held]).toEqual([0, true]);
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
    const { status } = await runDemo(dir, { interruptAt: step });
    expect(status).toBe(130);
    expectNothingLeft(dir);
  });
});
