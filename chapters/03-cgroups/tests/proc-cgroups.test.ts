import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readCgroups } from '../../01-processes/index.ts';
import { detectCgroups } from '../index.ts';
import { parseKernelControllers, readKernelControllers } from '../proc-cgroups.ts';

test('a line of /proc/cgroups is a controller: the number of its tree, its cgroups, whether it is switched on', () => {
  const text =
    '#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t16\t1\nmemory\t0\t95\t0\nnet_cls\t0\t95\t1\n';
  expect(parseKernelControllers(text)).toEqual([
    { name: 'cpu', hierarchy: 3, cgroups: 16, enabled: true },
    { name: 'memory', hierarchy: 0, cgroups: 95, enabled: false },
    { name: 'net_cls', hierarchy: 0, cgroups: 95, enabled: true },
  ]);
  expect(parseKernelControllers('')).toEqual([]);
});

test('of this machine each controller has the number of the tree in which /proc/self/cgroup has it, or 0', () => {
  const said = readKernelControllers();
  expect(said.map(({ name }) => name)).toEqual(
    [...readFileSync('/proc/cgroups', 'utf8').matchAll(/^\w+/gm)].map(([name]) => name),
  );
  const trees = readCgroups('self')!.filter(({ hierarchy }) => hierarchy > 0);
  const numbers = trees.flatMap(({ hierarchy, controllers }) =>
    controllers.filter((name) => !name.includes('=')).map((name) => [name, hierarchy]),
  );
  const inTrees = said.filter(({ hierarchy }) => hierarchy > 0);
  expect(inTrees.map(({ name, hierarchy }) => [name, hierarchy]).sort()).toEqual(numbers.sort());
  for (const name of detectCgroups().hierarchies.flatMap(({ controllers }) => controllers))
    expect(inTrees.find((one) => one.name === name)?.cgroups, name).toBeGreaterThan(0);
});
