import { singleThreaded } from '../../chapters/01-processes/index.ts';
import { cgroupCosts, namespaceCosts, processCosts, type Row } from './kernel-costs.ts';
import { growth, type Growth } from './kernel-growth.ts';
import { catchInterrupts, Interrupted, line, machine, ms } from './kernel-measure.ts';
import { runcCosts } from './kernel-runc.ts';
import { readOptions } from './bench-options.ts';

export const summary =
  'processes, namespaces and cgroups: what each costs, beside unshare(1) and runc, and from 1 to 500 at once';

const USAGE = `npm run bench -- kernel [--json] [--rounds N] [--most N]
  --json      the same as data
  --rounds N  how often each is measured (30)
  --most N    how many at once, at the most (500)`;
const COUNTS = { rounds: { ordinary: 30, limit: 10_000 }, most: { ordinary: 500, limit: 10_000 } };

/** Measures, and prints a table or JSON. Leaves nothing, also when interrupted. */
export async function run(args: string[]): Promise<number> {
  const options = readOptions('kernel', USAGE, COUNTS, args);
  if (typeof options === 'string') {
    (options === USAGE ? console.log : console.error)(options);
    return options === USAGE ? 0 : 2;
  }
  if (process.getuid?.() !== 0) {
    console.error('bench kernel: not root: type sudo npm run bench -- kernel');
    return 2;
  }
  await singleThreaded();
  const release = catchInterrupts();
  const { json, rounds, most } = options;
  const say = (text: string): void => void (json || console.log(text));
  const result = { machine: machine(), costs: [] as Row[], growth: [] as Growth[] };
  try {
    say(`${result.machine}\n\n${line('milliseconds', 'min', 'median', 'max')}`);
    for (const part of [processCosts, namespaceCosts, cgroupCosts, runcCosts]) {
      const found = await part(rounds);
      result.costs.push(...found);
      say(found.map(costLine).join('\n'));
    }
    say(`\n${line('milliseconds each, so many at once', 'process', 'in namespaces', 'cgroup', 'end')}`);
    for (const alive of [1, 10, 50, 100, 250, 500].filter((count) => count <= most)) {
      const grown = await growth(alive);
      result.growth.push(grown);
      say(line(String(alive), ...[grown.process, grown.namespaces, grown.cgroup, grown.end].map(ms)));
    }
    if (json) console.log(JSON.stringify(result, null, 2));
    return 0;
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    return 130;
  } finally {
    release();
  }
}

const costLine = ({ what, cost, why }: Row): string =>
  cost ? line(what, ms(cost.min), ms(cost.median), ms(cost.max)) : `${what.padEnd(38)} ${why}`;
