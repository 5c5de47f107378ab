import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { makeExecutable } from '../../chapters/01-processes/index.ts';
import { findBusybox } from '../../chapters/04-overlayfs/index.ts';
import { defaultSpec } from '../../chapters/05-runtime/index.ts';

/** A program that takes runc's command line, and is measured. */
export interface Contender {
  name: string;
  /** Undefined for the runtime in a process that is loaded already. */
  program?: string;
  /** Runs one command line to its end; how long it took, in milliseconds. @throws Error when it fails */
  run(...args: string[]): Promise<number>;
}

/** What takes part here, and what does not, with the reason. */
export interface Field {
  contenders: Contender[];
  missing: { name: string; why: string }[];
  /** Starts Node with an empty program, with the flags that myrunc has: what no program in Node can go below. */
  emptyNode(): Promise<number>;
  end(): void;
}

/** A bundle for `run` and one for the rest, both with a root of busybox and all that `spec` writes. */
export const bundles = (dir: string): { once: string; stays: string } => ({
  once: makeBundle(join(dir, 'once'), ['/bin/true']),
  stays: makeBundle(join(dir, 'stays'), ['/bin/sleep', '1000']),
});

function makeBundle(dir: string, args: string[]): string {
  const bin = join(dir, 'rootfs', 'bin');
  mkdirSync(bin, { recursive: true });
  copyFileSync(findBusybox(), join(bin, 'busybox'));
  for (const name of ['true', 'sleep']) symlinkSync('busybox', join(bin, name));
  const spec = defaultSpec();
  spec.ociVersion = '1.0.2'; // all of them know it
  spec.process = { ...spec.process!, terminal: false, args };
  spec.linux!.resources = {
    ...spec.linux!.resources,
    memory: { limit: 64 * 1024 * 1024 },
    cpu: { quota: 100_000, period: 100_000 },
    pids: { limit: 50 },
  };
  writeFileSync(join(dir, 'config.json'), JSON.stringify(spec));
  return dir;
}

/** Where a contender keeps the state of its containers. */
export const statesOf = (dir: string, name: string): string => join(dir, 'states', name);

export const newId = (): string => `bench-${randomBytes(5).toString('hex')}`;

/** Makes myrunc from its source, and looks which others can run a container here. */
export async function gather(dir: string, bundle: string): Promise<Field> {
  mkdirSync(join(dir, 'states'));
  const myrunc = join(dir, 'myrunc');
  const loaded = join(dir, 'loaded');
  const chapter = join(import.meta.dirname, '../../chapters/05-runtime/myrunc.ts');
  await makeExecutable({ source: chapter, out: myrunc, singleThreaded: true });
  await makeExecutable({
    source: join(import.meta.dirname, 'runtime-loaded.ts'),
    out: loaded,
    singleThreaded: true,
  });
  const empty = join(dir, 'empty.js');
  writeFileSync(empty, '');
  const field: Field = {
    contenders: [external('myrunc', myrunc, dir)],
    missing: [],
    emptyNode: () => timed(process.execPath, ['--single-threaded', empty]),
    end: () => undefined,
  };
  const inside = loadedRuntime(loaded, dir);
  field.contenders.push(inside.contender);
  field.end = inside.end;
  for (const name of ['runc', 'crun']) {
    const contender = external(name, name, dir);
    const id = newId();
    const { error, status, stderr } = spawnSync(
      name,
      ['--root', statesOf(dir, name), 'run', '--bundle', bundle, id],
      { encoding: 'utf8' },
    );
    if (!error && status === 0) field.contenders.push(contender);
    else field.missing.push({ name, why: error ? 'not installed' : stderr.trim().split('\n').at(-1)! });
  }
  return field;
}

const environment = (): NodeJS.ProcessEnv => ({ PATH: process.env['PATH'] });

/** Runs a program to its end. Nothing that the machine's own environment asks of Node is counted. */
async function timed(program: string, args: string[]): Promise<number> {
  const start = process.hrtime.bigint();
  const child = spawn(program, args, { env: environment(), stdio: 'ignore' });
  const [status] = (await once(child, 'exit')) as [number | null];
  const took = Number(process.hrtime.bigint() - start) / 1e6;
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ended with status ${status}`);
  return took;
}

function external(name: string, program: string, dir: string): Contender {
  return { name, program, run: (...args) => timed(program, ['--root', statesOf(dir, name), ...args]) };
}

/** The runtime in a process that lives on: what is left when nothing has to be started. */
function loadedRuntime(program: string, dir: string): { contender: Contender; end: () => void } {
  const child = spawn(program, [], { env: environment(), stdio: ['pipe', 'pipe', 'inherit'] });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const run = async (...args: string[]): Promise<number> => {
    child.stdin.write(`${JSON.stringify(['--root', statesOf(dir, 'loaded'), ...args])}\n`);
    const { value } = await answers.next();
    const { status, milliseconds } = JSON.parse(value as string) as { status: number; milliseconds: number };
    if (status !== 0) throw new Error(`loaded: ${args.join(' ')}: ended with status ${status}`);
    return milliseconds;
  };
  return { contender: { name: 'loaded', run }, end: () => child.stdin.end() };
}
