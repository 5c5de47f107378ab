import { spawn, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { detectCgroups } from '../../chapters/03-cgroups/index.ts';

const ROOT = join(import.meta.dirname, '../..');
const command = ['final/suite.ts', 'bench', 'kernel'];
const bench = (...args: string[]) =>
  spawnSync('node_modules/.bin/tsx', [...command, ...args], {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: 280_000,
  });

/** What this benchmark could leave: cgroups and folders with its name. */
function left(): string[] {
  const { hierarchies, unified } = detectCgroups();
  const trees = [...hierarchies.map(({ mountPoint }) => mountPoint), ...(unified ? [unified] : [])];
  return [...trees, tmpdir()].flatMap((dir) =>
    readdirSync(dir)
      .filter((name) => /^bench-(kernel-|[0-9a-f]{10}$)/.test(name))
      .map((name) => join(dir, name)),
  );
}

test('the kernel’s benchmark gives every cost as data, and leaves nothing', { timeout: 300_000 }, () => {
  const before = left();
  const { status, stdout, stderr } = bench('--json', '--rounds', '1', '--most', '10');
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const { machine, costs, growth } = JSON.parse(stdout) as {
    machine: string;
    costs: { what: string; cost?: { min: number; median: number; max: number }; why?: string }[];
    growth: { alive: number }[];
  };
  expect(machine).toContain(`cgroups: ${detectCgroups().layout}`);
  const named = costs.map(({ what }) => what).join('\n');
  for (const kind of ['user', 'cgroup', 'ipc', 'uts', 'net', 'pid', 'time', 'mnt']) {
    expect(named).toContain(`fork and unshare(2): ${kind}\n`);
    expect(named).toContain(`unshare(1): ${kind}\n`);
  }
  for (const { what, cost, why } of costs)
    if (cost) expect(cost.min <= cost.median && cost.median <= cost.max, what).toBe(true);
    else expect(why, what).toBeTruthy();
  expect(costs.find(({ what }) => what.startsWith('cgroup made'))?.cost).toBeDefined();
  expect(growth.map(({ alive }) => alive)).toEqual([1, 10]);
  expect(left().filter((path) => !before.includes(path))).toEqual([]);
});

test('interrupted while many processes are alive, it takes them and their cgroups away', async () => {
  const already = left();
  const child = spawn('node_modules/.bin/tsx', [...command, '--rounds', '1'], { cwd: ROOT, detached: true });
  let text = '';
  child.stdout.on('data', (data: Buffer) => {
    const before = text;
    text += data.toString();
    // The line of 50 has come: it is at 100 now. To the whole group, as a terminal does it.
    if (/^50 /m.test(text) && !/^50 /m.test(before)) process.kill(-child.pid!, 'SIGINT');
  });
  const status = await new Promise((resolve) => child.on('close', (code, signal) => resolve(code ?? signal)));
  expect(status).toBe(130);
  expect(text).not.toMatch(/^500 /m);
  expect(left().filter((path) => !already.includes(path))).toEqual([]);
});

test.each([
  [['--rounds', 'many'], '--rounds many: give a number from 1 to 10000'],
  [['--most', '0'], '--most 0: give a number from 1 to 10000'],
  [['--nonsense'], '--nonsense'],
])('%j is refused', (args, why) => {
  const { status, stderr } = bench(...args);
  expect(status).toBe(2);
  expect(stderr).toContain(why);
});
