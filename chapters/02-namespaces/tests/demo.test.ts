import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { StepRecord } from '../../01-processes/index.ts';
import { interruptDemo, stepsOf } from '../../01-processes/tests/interrupt-demo.ts';
import { linkExists, listRuleset } from '../index.ts';

const tsx = join(import.meta.dirname, '..', '..', '..', 'node_modules', '.bin', 'tsx');
const script = join(import.meta.dirname, '..', 'demo.ts');

/** What a demo named in its output, of what must be gone: directories, bridges, processes. */
function made(text: string): { directories: string[]; bridges: string[]; cgroups: string[]; pids: number[] } {
  const all = (pattern: RegExp): string[] => [
    ...new Set([...text.matchAll(pattern)].map((match) => match[1]!)),
  ];
  return {
    directories: all(/(\/tmp\/ch02-\w{6})/g),
    bridges: all(/link add name (d2\w{5}) type bridge/g),
    cgroups: all(/mkdir\("([^"]+\/ch02-\w{5})"\)/g),
    pids: all(/(?:netns|clone3\(.*\) =|\/proc\/) ?(\d+)/g).map(Number),
  };
}

function expectGone({ directories, bridges, cgroups, pids }: ReturnType<typeof made>): void {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8');
  for (const cgroup of cgroups) expect(existsSync(cgroup), cgroup).toBe(false);
  for (const directory of directories) {
    expect(existsSync(directory), directory).toBe(false);
    expect(mounts).not.toContain(directory);
  }
  const tables = listRuleset().chains.map((chain) => chain.table);
  for (const bridge of bridges) {
    for (const end of ['', 'a', 'b']) expect(linkExists(`${bridge}${end}`)).toBe(false);
    expect(tables).not.toContain(bridge);
  }
  for (const pid of pids) expect(existsSync(`/proc/${pid}`), `process ${pid}`).toBe(false);
}

test('the demo keeps every claim, shows each step with its call, and leaves nothing', () => {
  const run = spawnSync(tsx, [script, '--json'], { encoding: 'utf8', timeout: 110_000 });
  expect(run.stderr).toBe('');
  expect(run.status).toBe(0);
  const { held, steps } = JSON.parse(run.stdout) as { held: boolean; steps: StepRecord[] };
  expect(held).toBe(true);
  expect(steps).toHaveLength(14);
  for (const step of steps) {
    expect(step.calls.length, step.title).toBeGreaterThan(0);
    expect(step.claims.length, step.title).toBeGreaterThan(0);
    expect(step.claims.filter((claim) => !claim.held)).toEqual([]);
  }
  const things = made(run.stdout.replaceAll('\\"', '"'));
  expect(things.directories.length).toBeGreaterThan(3);
  expect(things.bridges).toHaveLength(2);
  expect(things.cgroups).toHaveLength(1);
  expectGone(things);
});

test('interrupted while its network is up, it takes everything away and says so by its status', async () => {
  const { status, text } = await interruptDemo(script, /type veth/);
  expect(status).toBe(130);
  expect(stepsOf(text).at(-1)).toBe('13. Two networks and a bridge');
  const things = made(text);
  expect(things.bridges.length).toBeGreaterThan(0);
  expectGone(things);
});
