import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readSmapsRollup } from '../../chapters/01-processes/index.ts';
import { breathe, costOf, type Cost } from './kernel-measure.ts';
import { newId, statesOf, type Contender, type Field } from './runtime-contenders.ts';

/** What each step costs each contender: `costs[step][contender]`, in milliseconds. */
export type Costs = Record<string, Record<string, Cost>>;

/** One life of a container, command by command. */
const LIFE: readonly (readonly [step: string, args: (id: string, bundle: string) => string[]])[] = [
  ['create', (id, bundle) => ['create', '--bundle', bundle, id]],
  ['state', (id) => ['state', id]],
  ['start', (id) => ['start', id]],
  ['exec true', (id) => ['exec', id, '/bin/true']],
  ['delete --force', (id) => ['delete', '--force', id]],
];

/**
 * Takes the contenders through the life of a container so many times, in turn, so that whatever else the machine does meets all of them alike;
 * and once before, which does not count.
 */
export async function stepCosts(
  field: Field,
  bundles: { once: string; stays: string },
  rounds: number,
): Promise<Costs> {
  const times: Record<string, Record<string, number[]>> = {};
  for (let round = 0; round <= rounds; round++) {
    const note = (step: string, who: string, milliseconds: number): void => {
      if (round > 0) ((times[step] ??= {})[who] ??= []).push(milliseconds);
    };
    await breathe();
    note('start of Node', 'empty Node', await field.emptyNode());
    for (const { name, run } of field.contenders) {
      await breathe();
      note('run true', name, await run('run', '--bundle', bundles.once, newId()));
      const id = newId();
      try {
        for (const [step, args] of LIFE)
          // `state` writes to standard output, where the loaded process has its answers.
          if (step !== 'state' || name !== 'loaded') note(step, name, await run(...args(id, bundles.stays)));
      } catch (error) {
        await run('delete', '--force', id).catch(() => undefined);
        throw error;
      }
    }
  }
  return Object.fromEntries(
    Object.entries(times).map(([step, by]) => [
      step,
      Object.fromEntries(Object.entries(by).map(([who, all]) => [who, costOf(all)])),
    ]),
  );
}

/** What a contender needs. bytes */
export interface Memory {
  name: string;
  /** The most that the process of `create` had at once: its VmHWM, looked at until it ends. */
  create: number;
  /** What the container's process has for itself while it waits for `start`: its private pages. */
  waiting: number;
  /** The same once its program runs. */
  running: number;
}

export async function memoryOf(contender: Contender, dir: string, bundle: string): Promise<Memory> {
  const id = newId();
  const root = statesOf(dir, contender.name);
  const pidFile = join(dir, `${id}.pid`);
  const args = ['--root', root, 'create', '--bundle', bundle, '--pid-file', pidFile, id];
  try {
    const create = await peakOf(contender.program!, args);
    const pid = Number(readFileSync(pidFile, 'utf8'));
    const waiting = privateMemory(pid);
    await contender.run('start', id);
    for (const late = Date.now() + 60_000; readFileSync(`/proc/${pid}/comm`, 'utf8').trim() !== 'sleep';) {
      if (Date.now() > late) throw new Error(`${contender.name}: the program has not begun within a minute`);
      await breathe();
    }
    return { name: contender.name, create, waiting, running: privateMemory(pid) };
  } finally {
    await contender.run('delete', '--force', id);
  }
}

function privateMemory(pid: number): number {
  const { Private_Clean = 0, Private_Dirty = 0 } = readSmapsRollup(pid) ?? {};
  return Private_Clean + Private_Dirty;
}

/** Runs a program, and looks at its VmHWM, which only grows, all the while. */
async function peakOf(program: string, args: string[]): Promise<number> {
  const child = spawn(program, args, { env: { PATH: process.env['PATH'] }, stdio: 'ignore' });
  let peak = 0;
  let ended = false;
  const exit = once(child, 'exit').then(([status]) => {
    ended = true;
    if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ended with status ${status}`);
  });
  while (!ended) {
    await breathe();
    try {
      const kB = /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1];
      peak = Math.max(peak, Number(kB ?? 0) * 1024);
    } catch {
      // it has just ended
    }
  }
  await exit;
  return peak;
}

/** So many containers at once. milliseconds each */
export interface Crowd {
  name: string;
  count: number;
  /** `run --detach`, all begun at the same time, until the last is there. */
  run: number;
  /** `delete --force`, likewise. */
  delete: number;
}

export async function crowd(contender: Contender, bundle: string, count: number): Promise<Crowd> {
  const ids = Array.from({ length: count }, newId);
  const together = async (args: (id: string) => string[]): Promise<number> => {
    const start = process.hrtime.bigint();
    const ends = await Promise.allSettled(ids.map((id) => contender.run(...args(id))));
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed) throw failed.reason;
    return Number(process.hrtime.bigint() - start) / 1e6 / count;
  };
  try {
    const run = await together((id) => ['run', '--detach', '--bundle', bundle, id]);
    return { name: contender.name, count, run, delete: await together((id) => ['delete', '--force', id]) };
  } catch (error) {
    await Promise.allSettled(ids.map((id) => contender.run('delete', '--force', id)));
    throw error;
  }
}

/** Takes away what an interrupted measurement left: every container under a contender's states. */
export async function sweep(field: Field, dir: string): Promise<void> {
  for (const { name, run } of field.contenders) {
    const states = statesOf(dir, name);
    for (const id of existsSync(states) ? readdirSync(states) : []) await run('delete', '--force', id);
  }
}
