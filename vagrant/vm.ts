import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import chalk from 'chalk';
import { Command, InvalidArgumentError } from 'commander';
import { boot } from './boot.ts';
import type { Machine, Step } from './machine.ts';
import { commandStep, stepsFor } from './plan.ts';
import { judge } from './reports.ts';
import { qemu } from './qemu.ts';
import { hybrid, systemd } from './systemd.ts';
import { uml } from './uml.ts';

const MACHINES: Record<
  'uml' | 'systemd' | 'hybrid' | 'qemu',
  { machine: Machine; minutes: number; what: string }
> = {
  uml: { machine: uml, minutes: 120, what: 'user-mode-linux: fast, one processor' },
  systemd: { machine: systemd, minutes: 60, what: 'user-mode-linux with systemd as process 1' },
  hybrid: { machine: hybrid, minutes: 20, what: 'the same with the controllers in cgroup v1' },
  qemu: { machine: qemu, minutes: 120, what: 'qemu with Debian’s cloud kernel: whole, two processors, slow' },
};
type Name = keyof typeof MACHINES;

interface Options {
  run?: Step;
  limit?: number;
  out?: string;
}

/** `npm run test:vm`: boots kernels with cgroup v2, and with v1, on this checkout, and runs tests in them. Sets the exit status. */
async function main(words: string[]): Promise<void> {
  const list = Object.entries(MACHINES).map(([name, { what }]) => `  ${name.padEnd(8)} ${what}`);
  const program = new Command('npm run test:vm --')
    .description('Boot kernels on this checkout, and run tests in them.')
    .argument(
      '[words...]',
      'machines (all of them when none is named), then vitest filters (files or folders), or demos: those of all chapters, and npm start -- --once; demo-04 is one of them',
    )
    .option(
      '--run <command>',
      'this in the place of tests, in a shell: --run "npm run bench -- kernel"',
      runOf,
    )
    .option('--limit <minutes>', 'the longest that a machine may run', minutes)
    .option('--out <folder>', 'where the reports go: FOLDER/MACHINE/STEP.json')
    .addHelpText(
      'after',
      `\nMachines:\n${list.join('\n')}\n\nNothing in a machine can write to a file of this one.`,
    )
    .action(test);
  await program.parseAsync(words, { from: 'user' });
}

async function test(words: string[], { run, limit, out }: Options): Promise<void> {
  const [names, filters] = chosen(words);
  if (process.getuid?.() !== 0) return refuse('not root: type sudo npm run test:vm');
  for (const name of names) {
    const lacking = MACHINES[name].machine.missing();
    if (lacking) return refuse(`${name}: not installed: type apt-get install ${lacking}`);
  }
  // In a machine there is no registry: what is missing is installed here.
  const setup = spawnSync(process.execPath, [join(import.meta.dirname, '../workshop/setup.mjs')], {
    stdio: 'inherit',
  });
  if (setup.status !== 0) return refuse('the set-up failed');
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stop.abort());
  const reports = out === undefined ? mkdtempSync(join(tmpdir(), 'workshop-vm-reports-')) : resolve(out);
  try {
    let good = true;
    for (const name of names) {
      if (stop.signal.aborted) break;
      const steps = run && filters.length === 0 ? [run] : [...stepsFor(name, filters), ...(run ? [run] : [])];
      good = (await testIn(name, steps, { limit, out: join(reports, name), signal: stop.signal })) && good;
    }
    process.exitCode = stop.signal.aborted ? 130 : good ? 0 : 1;
  } finally {
    if (out === undefined) rmSync(reports, { recursive: true, force: true });
  }
}

interface Run {
  limit: number | undefined;
  out: string;
  signal: AbortSignal;
}

/** Boots one machine, prints what it prints, and then what came of it. Returns whether every step passed. */
async function testIn(name: Name, steps: Step[], { limit, out, signal }: Run): Promise<boolean> {
  const { machine, minutes } = MACHINES[name];
  const started = Date.now();
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  console.log(chalk.bold(`\n━━ ${name}: booting ${machine.name}`));
  // What the kernel says while it boots is of interest only when it did not get far.
  const early: string[] = [];
  let up = false;
  const onLine = (line: string): void => {
    up ||= line.startsWith('machine: ');
    if (up) console.log(line);
    else early.push(line);
  };
  const { why } = await boot(machine, steps, { limit: (limit ?? minutes) * 60, out, signal, onLine });
  if (!up) console.log(early.join('\n'));
  const outcomes = steps.map((step) => judge(step, out));
  for (const { step, passed, failures, seconds } of outcomes) {
    const time = seconds === undefined ? '' : ` (${seconds} s)`;
    console.log(`━━ ${name}, ${step}: ${passed} passed, ${failures.length} failed${time}`);
    for (const failure of failures) console.log(chalk.red(`   ${failure}`));
  }
  const again = steps.filter((_, i) => outcomes[i]!.failures.length > 0);
  if (again.length > 0 && again.length < steps.length)
    console.log(`   once more: npm run test:vm -- ${name} ${again.flatMap(({ words }) => words).join(' ')}`);
  const good = why === undefined && again.length === 0;
  const seconds = Math.round((Date.now() - started) / 1000);
  const verdict = why ? `ended by ${why}` : good ? 'passed' : 'FAILED';
  console.log((good ? chalk.green : chalk.red)(`━━ ${name}: ${verdict} (${seconds} s)`));
  return good;
}

/** The machines that the first words name, and the filters after them. */
function chosen(words: readonly string[]): [Name[], string[]] {
  const isMachine = (word: string): word is Name => Object.hasOwn(MACHINES, word);
  const end = words.findIndex((word) => !isMachine(word));
  const names = words.slice(0, end < 0 ? words.length : end).filter(isMachine);
  return [
    names.length > 0 ? names : (Object.keys(MACHINES) as Name[]),
    words.slice(end < 0 ? words.length : end),
  ];
}

function runOf(command: string): Step {
  try {
    return commandStep(command);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

function minutes(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 24 * 60))
    throw new InvalidArgumentError('minutes, more than 0 and at most 1440.');
  return value;
}

function refuse(why: string): void {
  console.error(`test:vm: ${why}`);
  process.exitCode = 2;
}

await main(process.argv.slice(2));
