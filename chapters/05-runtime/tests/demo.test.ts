import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { StepRecord } from '../../01-processes/index.ts';

it('acts the lesson out, keeps every claim, and leaves nothing', () => {
  const root = join(import.meta.dirname, '../../..');
  const demo = join(import.meta.dirname, '../demo.ts');
  const { status, stdout, stderr } = spawnSync(join(root, 'node_modules/.bin/tsx'), [demo, '--json'], {
    encoding: 'utf8',
    timeout: 300_000,
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const { held, steps } = JSON.parse(stdout) as { held: boolean; steps: StepRecord[] };
  expect(held).toBe(true);
  expect(steps).toHaveLength(10);
  // What this machine cannot show is said: the last step needs podman.
  for (const step of steps) expect(step.claims.length + step.notes.length, step.title).toBeGreaterThan(0);
  expect(steps.slice(0, -1).every(({ claims }) => claims.length > 0)).toBe(true);
  const [name] = /ch05-demo-\w{6}/.exec(stdout)!;
  expect(existsSync(join('/tmp', name))).toBe(false);
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(name);
});
