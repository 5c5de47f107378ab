import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Step } from './machine.ts';

/** The suites that a kernel with cgroup v2 alone must pass. */
const SUITES = [
  'chapters/01-processes',
  'chapters/02-namespaces',
  'chapters/03-cgroups',
  'chapters/04-overlayfs',
  'chapters/05-runtime',
  'final/tests',
];

/** What needs more of a kernel than user-mode-linux has, and what that is. It runs in qemu. */
export const BEYOND_UML: Readonly<Record<string, string>> = {
  'chapters/02-namespaces/tests/namespaces.test.ts': 'time namespaces',
  'chapters/02-namespaces/tests/each-kind.test.ts': 'time namespaces',
  'chapters/02-namespaces/tests/time-cgroup.test.ts': 'time namespaces',
  'chapters/02-namespaces/tests/nsenter.test.ts': 'time namespaces',
  'chapters/02-namespaces/tests/lsns.test.ts': 'time namespaces',
  'chapters/02-namespaces/tests/network.test.ts': 'nft for IPv4',
  'chapters/02-namespaces/tests/demo.test.ts': 'both',
};

/** The word for the demos of all chapters and `npm start -- --once`, among the filters. */
const DEMOS = 'demos';

/** What each machine runs when it is not told. The demos run where learners sit: beside systemd, and on a whole kernel. */
export const PLANS = {
  uml: SUITES,
  systemd: ['.vm.test.ts', DEMOS],
  qemu: [...Object.keys(BEYOND_UML), DEMOS],
} as const;

/**
 * What a machine runs. `filters` are vitest's, parts of the names of files, and `demos`; without them each machine has suites of its own. What
 * user-mode-linux cannot run is left out there, unless a filter names the very file.
 */
export function stepsFor(machine: keyof typeof PLANS, filters: readonly string[]): Step[] {
  const wanted: readonly string[] = filters.length > 0 ? filters : PLANS[machine];
  const suites = wanted.filter((word) => word !== DEMOS);
  const beyond = machine === 'qemu' ? [] : Object.keys(BEYOND_UML).filter((file) => !suites.includes(file));
  return [
    ...(suites.length > 0 ? [vitest([...suites, ...beyond.flatMap((file) => ['--exclude', file])])] : []),
    ...(suites.length < wanted.length ? demos() : []),
  ];
}

/** Each passes when every claim held. */
function demos(): Step[] {
  const numbers = readdirSync(join(import.meta.dirname, '../chapters')).map((slug) => slug.slice(0, 2));
  return [
    ...numbers
      .sort()
      .map((number) => step(`demo-${number}`, `npm run --silent demo -- ${number} --reference`)),
    step('start', 'npm start --silent -- --once'),
  ];
}

const step = (name: string, command: string): Step => ({ name, command, vitest: false });

/** A machine in software is slow, the more so when its host is busy: what hangs is ended by the machine's time limit. milliseconds */
const PATIENCE = 600_000;

const vitest = (words: readonly string[]): Step => ({
  name: 'suites',
  command: [
    `node node_modules/vitest/vitest.mjs run --testTimeout=${PATIENCE} --hookTimeout=${PATIENCE}`,
    '--reporter=default --reporter=json --outputFile.json="$REPORT"',
    ...words.map(quoted),
  ].join(' '),
  vitest: true,
});

/** A word for a shell. */
const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;
