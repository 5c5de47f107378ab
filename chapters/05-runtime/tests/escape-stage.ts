import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { makeExecutable } from '../../01-processes/index.ts';
import { traces, workbench, type Workbench } from './workbench.ts';

// What the tests of escapes share.

/** A place for the tests of a file, and afterwards nothing left of them in the kernel. */
export function onStage(use: (bench: Workbench) => void): void {
  let bench: Workbench;
  beforeAll(async () => use((bench = await workbench())));
  afterAll(() => {
    expect(traces(bench)).toEqual([]);
    bench.remove();
  });
}

/** Runs a script on the host, in a mount namespace of its own that ends with it. */
export const inMountNamespace = (script: string, ...args: string[]): string =>
  spawnSync('unshare', ['-m', 'sh', '-ec', script, 'sh', ...args], { encoding: 'utf8', timeout: 100_000 })
    .stdout;

/** The first process of a container. */
export const pidOf = (bench: Workbench, id: string): number =>
  (JSON.parse(bench.myrunc('state', id).out) as { pid: number }).pid;

/** For a container with the image's own /dev, over which nothing is mounted. */
export const withoutDev: NonNullable<Parameters<Workbench['bundle']>[0]> = (spec) => {
  spec.mounts = spec.mounts.filter(({ destination }) => !destination.startsWith('/dev'));
};

/**
 * The runtime with one remedy taken out, for the negative of a test: what the test looks for must then be seen. Made of a copy of the source.
 * @param file of this chapter
 * @param remedy a piece of it, of which there is one
 */
export async function weakened(
  bench: Workbench,
  file: string,
  remedy: string,
  without: string,
): Promise<Workbench['myrunc']> {
  const chapters = join(import.meta.dirname, '../..');
  const copy = join(bench.dir, `weakened-${bench.id()}`);
  for (const name of ['01-processes', '02-namespaces', '03-cgroups', '05-runtime'])
    cpSync(join(chapters, name), join(copy, name), { recursive: true });
  symlinkSync(join(chapters, '../node_modules'), join(copy, 'node_modules'));
  const path = join(copy, '05-runtime', file);
  const text = readFileSync(path, 'utf8');
  expect(text.split(remedy), `pieces of ${file} around ${remedy}`).toHaveLength(2);
  writeFileSync(
    path,
    text.replace(remedy, () => without),
  );
  const out = join(copy, 'myrunc');
  await makeExecutable({ source: join(copy, '05-runtime/myrunc.ts'), out, singleThreaded: true });
  return (...args) => bench.call(out, ...args);
}
