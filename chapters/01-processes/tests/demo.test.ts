import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { StepRecord } from '../index.ts';
import { interruptDemo, stepsOf } from './interrupt-demo.ts';

const tsx = join(import.meta.dirname, '..', '..', '..', 'node_modules', '.bin', 'tsx');
const script = join(import.meta.dirname, '..', 'demo.ts');

/** Of what the demo named, nothing may be there: neither processes nor files. Orphans the machine's init reaps, when it gets to it. */
async function expectGone(text: string): Promise<void> {
  const pids = [...text.matchAll(/(?:process |\/proc\/|waitpid\()(\d+)/g)].map((match) => match[1]!);
  for (const pid of pids)
    await expect
      .poll(() => existsSync(`/proc/${pid}`), { message: `process ${pid}`, timeout: 60_000 })
      .toBe(false);
  for (const [path] of text.matchAll(/(?:\/var)?\/tmp\/ch01-\w+/g))
    expect(existsSync(path), path).toBe(false);
}

test('the demo keeps every claim, shows each step with its call, and leaves nothing', async () => {
  const run = spawnSync(tsx, [script, '--json'], { encoding: 'utf8', timeout: 110_000 });
  expect(run.stderr).toBe('');
  expect(run.status).toBe(0);
  const { held, steps } = JSON.parse(run.stdout) as { held: boolean; steps: StepRecord[] };
  expect(held).toBe(true);
  expect(steps).toHaveLength(15);
  for (const step of steps) {
    expect(step.calls.length, step.title).toBeGreaterThan(0);
    expect(step.claims.length, step.title).toBeGreaterThan(0);
  }
  await expectGone(run.stdout);
});

test('interrupted with a process running, it ends that process and says so by its status', async () => {
  const { status, text } = await interruptDemo(script, 'its parent is this program');
  expect(status).toBe(130);
  expect(text).toContain('end process');
  expect(stepsOf(text).at(-1)).toBe('1. A process is a folder in /proc');
  await expectGone(text);
});
