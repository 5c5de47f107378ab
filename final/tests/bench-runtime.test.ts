import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { detectCgroups } from '../../chapters/03-cgroups/index.ts';

const bench = (...args: string[]) =>
  spawnSync('node_modules/.bin/tsx', ['final/suite.ts', 'bench', 'runtime', ...args], {
    cwd: join(import.meta.dirname, '../..'),
    encoding: 'utf8',
    timeout: 280_000,
  });

/** What the benchmark could leave: cgroups of its containers, and its folder. */
function left(): string[] {
  const { hierarchies, unified } = detectCgroups();
  const trees = [...hierarchies.map(({ mountPoint }) => mountPoint), ...(unified ? [unified] : [])];
  const of = (dir: string, name: RegExp): string[] => readdirSync(dir).filter((entry) => name.test(entry));
  return [...trees.flatMap((dir) => of(dir, /^bench-[0-9a-f]{10}$/)), ...of(tmpdir(), /^bench-runtime-/)];
}

test(
  'the runtime’s benchmark gives the cost of every command as data, and leaves nothing',
  { timeout: 300_000 },
  () => {
    const before = left();
    const { status, stdout, stderr } = bench('--json', '--rounds', '1', '--most', '10');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const { costs, memory, crowds, missing } = JSON.parse(stdout) as {
      costs: Record<string, Record<string, { median: number }>>;
      memory: { name: string; create: number; waiting: number; running: number }[];
      crowds: { name: string; count: number }[];
      missing: { name: string; why: string }[];
    };
    expect(Object.keys(costs['start of Node']!)).toEqual(['empty Node']);
    for (const step of ['run true', 'create', 'start', 'exec true', 'delete --force'])
      expect(Object.keys(costs[step]!), step).toEqual(expect.arrayContaining(['myrunc', 'loaded']));
    const { create, waiting, running } = memory.find(({ name }) => name === 'myrunc')!;
    expect(Math.min(create, waiting, running)).toBeGreaterThan(0);
    // What waits for `start` is the trampoline: no Node, and less than any program.
    expect(waiting).toBeLessThan(256 * 1024);
    expect(crowds.find(({ name }) => name === 'myrunc')).toMatchObject({ count: 10 });
    for (const { name, why } of missing) expect(why, name).toBeTruthy();
    expect(left().filter((name) => !before.includes(name))).toEqual([]);
  },
);

test('options that are none are refused', () => {
  const { status, stderr } = bench('--rounds', '0');
  expect({ status, stderr }).toEqual({
    status: 2,
    stderr: expect.stringContaining('--rounds 0: give a number from 1 to 10000'),
  });
});
