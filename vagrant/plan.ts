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

/** What each machine runs when it is not told. */
export const PLANS = {
  uml: SUITES,
  systemd: ['.vm.test.ts'],
  qemu: Object.keys(BEYOND_UML),
} as const;

/**
 * What a machine runs. `filters` are vitest's, parts of the names of files; without them each machine has suites of its own. What
 * user-mode-linux cannot run is left out there, unless a filter names the very file.
 */
export function stepsFor(machine: keyof typeof PLANS, filters: readonly string[]): Step[] {
  const wanted = filters.length > 0 ? filters : PLANS[machine];
  const beyond = machine === 'qemu' ? [] : Object.keys(BEYOND_UML).filter((file) => !wanted.includes(file));
  return [vitest([...wanted, ...beyond.flatMap((file) => ['--exclude', file])])];
}

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
