import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { workbench, type Workbench } from './workbench.ts';

let bench: Workbench;
beforeAll(async () => void (bench = await workbench()));
afterAll(() => bench.remove());

/** Node's own modules that cost milliseconds to load: streams, sockets and the like more than all of myrunc, and they come one with the other. */
const SLOW = [
  'stream',
  'net',
  'tty',
  'child_process',
  'worker_threads',
  'internal/modules/esm/loader',
  'internal/fs/rimraf',
];

/** What of SLOW is loaded by the time that a command of myrunc has done its work. */
function slowModules(...args: string[]): string[] {
  const probe = join(bench.dir, 'probe.cjs');
  const report = join(bench.dir, 'modules');
  writeFileSync(
    probe,
    `process.once('beforeExit', () => require('fs').writeFileSync(${JSON.stringify(report)}, process.moduleLoadList.join('\\n')))`,
  );
  execFileSync(
    process.execPath,
    ['--single-threaded', '-r', probe, bench.program, '--root', bench.root, ...args],
    { env: {}, stdio: 'ignore', timeout: 60_000 },
  );
  const loaded = readFileSync(report, 'utf8').split('\n');
  expect(loaded).toContain('NativeModule fs');
  return SLOW.filter((name) => loaded.includes(`NativeModule ${name}`));
}

it('starts a container without Node’s streams, sockets, processes and threads', () => {
  const bundle = bench.bundle((spec) => void (spec.process.args = ['sleep', '1000']));
  const id = bench.id();
  const commands = [
    ['create', '--bundle', bundle, id],
    ['start', id],
    ['state', id],
    ['exec', id, 'true'],
    ['delete', '--force', id],
    ['run', '--bundle', bench.bundle((spec) => void (spec.process.args = ['true'])), bench.id()],
  ];
  expect(commands.map((command) => [command[0], slowModules(...command)])).toEqual(
    commands.map(([verb]) => [verb, []]),
  );
});
