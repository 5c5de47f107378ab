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

/** What needs more than user-mode-linux has, and what it needs. They run in qemu. */
export const BEYOND_UML: Readonly<Record<string, string>> = {
  'chapters/02-namespaces/tests/namespaces.test.ts': 'time namespaces',
  'chapters/02-namespaces/tests/network.test.ts': 'nft for IPv4',
  'final/tests': 'nft for IPv4',
};

const vitest = (name: string, words: readonly string[]): Step => ({
  name,
  command: `node node_modules/vitest/vitest.mjs run --reporter=default --reporter=json --outputFile.json="$REPORT" ${words.map(quoted).join(' ')}`,
  vitest: true,
});

/** What a machine runs. `filters` are vitest's, files or folders; without them each machine has suites of its own. */
export function stepsFor(machine: 'uml' | 'qemu' | 'systemd', filters: readonly string[]): Step[] {
  if (filters.length > 0) return [vitest('suites', filters)];
  if (machine === 'qemu') return [vitest('suites', Object.keys(BEYOND_UML))];
  const beyond = Object.keys(BEYOND_UML).flatMap((path) => [
    '--exclude',
    path.endsWith('.ts') ? path : `${path}/**`,
  ]);
  return [vitest('suites', [...SUITES, ...beyond])];
}

/** A word for a shell. */
const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;
