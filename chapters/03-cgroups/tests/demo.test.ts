import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import type { StepRecord } from '../../01-processes/index.ts';
import { demoPart as part, expectGone, tsx } from './demo-run.ts';

test.each([
  ['demo.ts', 8],
  ['demo-cpu.ts', 2],
  ['demo-memory.ts', 5],
  ['demo-tree.ts', 5],
])('%s keeps every claim, shows each step with its call, and leaves nothing', (name, count) => {
  const run = spawnSync(tsx, [part(name), '--json'], { encoding: 'utf8' });
  expect(run.stderr).toBe('');
  expect(run.status).toBe(0);
  const { held, steps } = JSON.parse(run.stdout) as { held: boolean; steps: StepRecord[] };
  expect(held).toBe(true);
  expect(steps).toHaveLength(count);
  for (const step of steps) {
    // What a machine cannot show is said.
    expect(step.calls.length + step.evidence.length + step.notes.length, step.title).toBeGreaterThan(0);
    expect(step.claims.length + step.notes.length, step.title).toBeGreaterThan(0);
  }
  expectGone(run.stdout);
});
