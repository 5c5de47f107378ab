import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { namespacesOf } from '../../01-processes/index.ts';
import { HOOK_KINDS } from '../spec.ts';
import { traces, workbench, type Workbench } from './workbench.ts';

let bench: Workbench;
beforeAll(async () => void (bench = await workbench()));
afterAll(() => {
  expect(traces(bench)).toEqual([]);
  bench.remove();
});

it('runs each hook at its time, in its namespaces, with the state on its standard input', () => {
  const log = join(bench.dir, 'hooks.log');
  const hook = join(bench.dir, 'hook');
  writeFileSync(
    hook,
    `#!/bin/sh\necho "$1 $(readlink /proc/self/ns/net) $(readlink /proc/self/ns/mnt) $(cat)" >> ${log}\n`,
  );
  chmodSync(hook, 0o755);
  const inside = HOOK_KINDS.filter((kind) => kind !== 'startContainer');
  const bundle = bench.bundle((spec) => {
    spec.process.args = ['cat', '/dev/shm/start'];
    spec.hooks = Object.fromEntries(inside.map((kind) => [kind, [{ path: hook, args: ['hook', kind] }]]));
    // This one is the container's own file.
    spec.hooks.startContainer = [
      {
        path: '/bin/sh',
        args: ['sh', '-c', 'echo "$0 $PATH" > /dev/shm/start; cat >> /dev/shm/start'],
        env: ['PATH=/bin'],
      },
    ];
  });
  const id = bench.id();
  const { status, out } = bench.myrunc('run', '-b', bundle, id);
  expect(status).toBe(0);
  expect(out).toContain('sh /bin\n{');
  const lines = readFileSync(log, 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(' '));
  expect(lines.map(([kind]) => kind)).toEqual([
    'prestart',
    'createRuntime',
    'createContainer',
    'poststart',
    'poststop',
  ]);
  const ours = namespacesOf('self')!;
  for (const [kind, net, mnt, state] of lines) {
    expect(JSON.parse(state!)).toMatchObject({ id, bundle, ociVersion: '1.2.0' });
    const isInside = kind === 'createContainer';
    expect([net === ours['net'], mnt === ours['mnt']]).toEqual([!isInside, !isInside]);
  }
});
