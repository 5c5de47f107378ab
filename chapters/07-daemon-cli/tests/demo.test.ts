import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { listPids, readCmdline, type StepRecord } from '../../01-processes/index.ts';
import { interruptDemo, stepsOf } from '../../01-processes/tests/interrupt-demo.ts';
import { linkExists } from '../../02-namespaces/index.ts';

const tsx = join(import.meta.dirname, '..', '..', '..', 'node_modules', '.bin', 'tsx');
const script = join(import.meta.dirname, '..', 'demo.ts');

/** Of what the demo named, nothing may be there: its folder, its processes, its mounts. */
function expectGone(text: string): void {
  const [folder] = /\/tmp\/demo-07-\w+/.exec(text)!;
  expect(existsSync(folder)).toBe(false);
  expect(listPids().filter((pid) => readCmdline(pid)?.some((arg) => arg.includes(folder)))).toEqual([]);
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(folder);
}

test('the demo keeps every claim, shows each step with its call, and leaves nothing', () => {
  const run = spawnSync(tsx, [script, '--json'], { encoding: 'utf8', timeout: 110_000 });
  expect(run.stderr).toBe('');
  expect(run.status).toBe(0);
  const { held, steps } = JSON.parse(run.stdout) as { held: boolean; steps: StepRecord[] };
  expect(held).toBe(true);
  expect(steps).toHaveLength(5);
  for (const step of steps) {
    expect(step.calls.length, step.title).toBeGreaterThan(0);
    expect(step.claims.length, step.title).toBeGreaterThan(0);
  }
  expectGone(run.stdout);
  const network = steps.flatMap(({ evidence }) => evidence).find(({ what }) => what === 'network');
  expect(linkExists(network!.values['bridge']!)).toBe(false);
});

test('interrupted while a container runs, it takes everything away', async () => {
  const { status, text } = await interruptDemo(script, 'its parent is the shim');
  expect(status).toBe(130);
  expect(stepsOf(text).at(-1)).toBe('3. Nobody’s child');
  expectGone(text);
});
