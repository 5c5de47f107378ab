import { cpus, loadavg, release, totalmem } from 'node:os';
import { detectCgroups } from '../../chapters/03-cgroups/index.ts';

/** What a thing cost, measured several times. milliseconds */
export interface Cost {
  min: number;
  median: number;
  max: number;
}

/** Told to stop: what was made is being taken away. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

let interrupted = false;

/** From here on Ctrl-C does not end the program at once, but `breathe` throws. Returns what gives the signals back. */
export function catchInterrupts(): () => void {
  const onSignal = (): void => void (interrupted = true);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  return () => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, onSignal);
  };
}

/** Lets signals arrive between two measurements, which are synchronous. @throws Interrupted when one has */
export async function breathe(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  if (interrupted) throw new Interrupted('interrupted');
}

/** How long a call takes. milliseconds */
export function time(what: () => void): number {
  const start = process.hrtime.bigint();
  what();
  return Number(process.hrtime.bigint() - start) / 1e6;
}

/** Runs something `rounds` times, after once that does not count. */
export async function measure(rounds: number, what: () => void): Promise<Cost> {
  what();
  const times: number[] = [];
  for (let i = 0; i < rounds; i++) {
    await breathe();
    times.push(time(what));
  }
  return costOf(times);
}

export function costOf(times: readonly number[]): Cost {
  const sorted = times.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { min: sorted[0]!, median, max: sorted.at(-1)! };
}

/** What was measured on. */
export function machine(): string {
  const { layout, controllers } = detectCgroups();
  return [
    `Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GB, Node ${process.version}`,
    `cgroups: ${layout}, ${controllers.join(' ')}; load ${loadavg()[0]!.toFixed(1)} when it began`,
  ].join('\n');
}

export const ms = (value: number): string => value.toFixed(2);

/** One line of a table: a name, and its numbers. */
export function line(what: string, ...columns: string[]): string {
  return what.padEnd(38) + columns.map((text) => text.padStart(14)).join('');
}
