import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { catchInterrupts, Interrupted, line, machine, ms } from './kernel-measure.ts';
import { bundles, gather } from './runtime-contenders.ts';
import { crowd, memoryOf, stepCosts, sweep, type Costs, type Crowd, type Memory } from './runtime-steps.ts';
import { readOptions } from './bench-options.ts';

export const summary =
  'myrunc beside runc, crun and an empty Node: each command, memory, and up to 100 containers at once';

const USAGE = `npm run bench -- runtime [--json] [--rounds N] [--most N]
  --json      the same as data
  --rounds N  how often each is measured (20)
  --most N    how many containers at once, at the most (100)`;
const COUNTS = { rounds: { ordinary: 20, limit: 10_000 }, most: { ordinary: 100, limit: 10_000 } };

/** Measures, and prints tables or JSON. Leaves nothing, also when interrupted. */
export async function run(args: string[]): Promise<number> {
  const options = readOptions('runtime', USAGE, COUNTS, args);
  if (typeof options === 'string') {
    (options === USAGE ? console.log : console.error)(options);
    return options === USAGE ? 0 : 2;
  }
  if (process.getuid?.() !== 0) {
    console.error('bench runtime: not root: type sudo npm run bench -- runtime');
    return 2;
  }
  const { json, rounds, most } = options;
  const say = (text: string): void => void (json || console.log(text));
  const dir = mkdtempSync(join(tmpdir(), 'bench-runtime-'));
  const release = catchInterrupts();
  const where = bundles(dir);
  const field = await gather(dir, where.once);
  const result = { machine: machine(), missing: field.missing, costs: {} as Costs, memory: [] as Memory[] };
  const crowds: Crowd[] = [];
  try {
    say(result.machine);
    for (const { name, why } of field.missing) say(`${name} takes no part: ${why}`);
    result.costs = await stepCosts(field, where, rounds);
    say(costTable(result.costs));
    const programs = field.contenders.filter(({ program }) => program);
    for (const contender of programs) result.memory.push(await memoryOf(contender, dir, where.stays));
    say(memoryTable(result.memory));
    say(`\n${line('milliseconds each, so many at once', 'run --detach', 'delete')}`);
    for (const count of [10, 50, 100].filter((count) => count <= most))
      for (const contender of programs) {
        const found = await crowd(contender, where.stays, count);
        crowds.push(found);
        say(line(`${count} by ${found.name}`, ms(found.run), ms(found.delete)));
      }
    if (json) console.log(JSON.stringify({ ...result, crowds }, null, 2));
    return 0;
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    return 130;
  } finally {
    await sweep(field, dir);
    field.end();
    rmSync(dir, { recursive: true, force: true });
    release();
  }
}

const costTable = (costs: Costs): string =>
  [
    `\n${line('milliseconds', 'min', 'median', 'max')}`,
    ...Object.entries(costs).flatMap(([step, by]) =>
      Object.entries(by).map(([who, { min, median, max }]) =>
        line(`${step}: ${who}`, ms(min), ms(median), ms(max)),
      ),
    ),
  ].join('\n');

const memoryTable = (rows: readonly Memory[]): string =>
  [
    `\n${line('megabytes', 'create, peak', 'waiting', 'running')}`,
    ...rows.map(({ name, create, waiting, running }) =>
      line(name, ...[create, waiting, running].map((bytes) => (bytes / 1e6).toFixed(2))),
    ),
  ].join('\n');
