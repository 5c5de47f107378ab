import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { waitpid, type StepRecord } from '../../01-processes/index.ts';
import { interruptDemo, stepsOf } from '../../01-processes/tests/interrupt-demo.ts';
import { startIn } from '../demo-support.ts';
import { createCgroup, openCgroup } from '../index.ts';

const tsx = join(import.meta.dirname, '..', '..', '..', 'node_modules', '.bin', 'tsx');
/** A part of the chapter's demo, by its file. */
const part = (name: string): string => join(import.meta.dirname, '..', name);

/** Of what the demo named, nothing may be there: neither its cgroups nor the trees that it made for release_agent. */
function expectGone(text: string): void {
  const [name] = /ch03-demo-[0-9a-f]{6}/.exec(text)!;
  expect(openCgroup(`/${name}`).exists()).toBe(false);
  expect(readFileSync('/proc/self/cgroup', 'utf8')).not.toContain(name);
}

test.each([
  ['demo.ts', 8],
  ['demo-cpu.ts', 3],
  ['demo-memory.ts', 5],
  ['demo-tree.ts', 5],
])('%s keeps every claim, shows each step with its call, and leaves nothing', (name, count) => {
  const run = spawnSync(tsx, [part(name), '--json'], { encoding: 'utf8', timeout: 110_000 });
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

test('what is started in a cgroup is in it at once: who ends the cgroup ends it too', () => {
  const cgroup = createCgroup(`/ch03-demo-${randomBytes(3).toString('hex')}`);
  try {
    const pid = startIn(cgroup, 'exec sleep 1000');
    expect(cgroup.pids()).toEqual([pid]);
    cgroup.kill();
    expect(waitpid(pid)).toEqual({ kind: 'signaled', signal: 9, coreDumped: false });
  } finally {
    cgroup.kill();
    cgroup.remove();
  }
});

test('interrupted while a loop runs in its quota, it ends the loop and takes the cgroups away', async () => {
  const { status, text } = await interruptDemo(part('demo.ts'), /write\("cpu\./);
  expect(status).toBe(130);
  expect(stepsOf(text).at(-1)).toBe('3. Processor time: a quota');
  expectGone(text);
});
