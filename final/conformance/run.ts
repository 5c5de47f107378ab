import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { BIN, build } from '../build.ts';
import { differenceOf } from './differences.ts';
import { prepareRunc, runBats } from './bats.ts';
import { printTable, type Case, type Row } from './table.ts';
import { prepareRuntimeTools, runValidation } from './validation.ts';

const HELP = `npm run conformance -- [--runc DIR] [--runtime-tools DIR] [OPTIONS]

Lets two suites that nobody here wrote judge myrunc, case by case beside the real runc.

  --runc DIR            a checkout of github.com/opencontainers/runc: runs its tests/integration/*.bats
  --runtime-tools DIR   a checkout of github.com/opencontainers/runtime-tools: runs its validation/
  --only TEXT           only files or programs that have TEXT in their name
  --against PROGRAM     the runtime to compare with (default: runc); "none" for myrunc alone
  --seconds N           time limit of one file (default: 300)
  --json                the table as JSON
`;

/** Runs the suites that are named. Returns 0 when every case that the other runtime passes is passed, or is a known difference. */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      runc: { type: 'string' },
      'runtime-tools': { type: 'string' },
      only: { type: 'string', default: '' },
      against: { type: 'string', default: 'runc' },
      seconds: { type: 'string', default: '300' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help || (!values.runc && !values['runtime-tools'])) {
    console.log(HELP);
    return values.help ? 0 : 2;
  }
  if (process.getuid!() !== 0) throw new Error('The suites make containers: run them as root.');
  await build();
  const work = mkdtempSync(join(tmpdir(), 'conformance-'));
  const limit = Number(values.seconds) * 1000;
  const runtimes = [join(BIN, 'myrunc'), ...(values.against === 'none' ? [] : [values.against])];
  const rows: Row[] = [];
  try {
    if (values.runc) {
      const suite = prepareRunc(checkout(values.runc, 'tests/integration'), work);
      for (const file of suite.files.filter((name) => name.includes(values.only)))
        rows.push(
          ...beside(
            file,
            runtimes.map((runtime) => runBats(suite, file, runtime, limit)),
          ),
        );
    }
    if (values['runtime-tools']) {
      const suite = prepareRuntimeTools(checkout(values['runtime-tools'], 'validation'), work);
      for (const name of suite.programs.filter((each) => each.includes(values.only)))
        rows.push(
          ...beside(
            name,
            runtimes.map((runtime) => [runValidation(suite, name, runtime, limit)]),
          ),
        );
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return printTable(rows, values.json);
}

/** @throws Error when a folder is no checkout of what it should be */
function checkout(folder: string, has: string): string {
  const path = resolve(folder);
  if (!existsSync(join(path, has)))
    throw new Error(`${folder} has no ${has}: give a checkout of the repository`);
  return path;
}

/** The verdicts on one file, case by case: myrunc's and the other's. */
function beside(file: string, [mine = [], other]: Case[][]): Row[] {
  const names = [...new Set([...(other ?? []), ...mine].map(({ name }) => name))];
  const find = (cases: Case[] | undefined, name: string): Case | undefined =>
    cases?.find((c) => c.name === name);
  const rows = names.map((name) => {
    const myrunc = find(mine, name) ?? {
      name,
      verdict: 'none' as const,
      note: 'it did not come to this case',
    };
    return { file, name, myrunc, other: find(other, name), difference: differenceOf(file, name) };
  });
  for (const { myrunc, name } of rows)
    if (myrunc.verdict !== 'passed') console.error(`${file}: ${name}: ${myrunc.verdict} ${myrunc.note}`);
  return rows;
}

process.exitCode = await main();
