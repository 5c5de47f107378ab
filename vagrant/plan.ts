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
  'chapters/05-runtime/tests/scheduling.test.ts': 'time namespaces, and a personality that uname(2) heeds',
};

/** The word for the demos of all chapters and `npm start -- --once`, among the filters. */
const DEMOS = 'demos';

/**
 * What each machine runs when it is not told: runs of vitest, each with its filters, and the demos, where learners sit: beside systemd, and on a
 * whole kernel. A suite is a run of its own where all together take long: each reports as soon as it has ended.
 */
export const PLANS: Readonly<
  Record<'uml' | 'systemd' | 'hybrid' | 'qemu', { suites: readonly (readonly string[])[]; demos: boolean }>
> = {
  uml: { suites: SUITES.map((suite) => [suite]), demos: false },
  systemd: { suites: [['.vm.test.ts']], demos: true },
  hybrid: { suites: [['chapters/03-cgroups/tests/systemd.vm.test.ts']], demos: false },
  qemu: { suites: [Object.keys(BEYOND_UML)], demos: true },
};

/**
 * What a machine runs. `filters` are vitest's, parts of the names of files; `demos`; or the name of one of their steps, as `demo-04`. Without any
 * each machine has suites of its own. What user-mode-linux cannot run is left out there, unless a filter names the very file.
 */
export function stepsFor(machine: keyof typeof PLANS, filters: readonly string[]): Step[] {
  const shows = demos();
  const isShow = (word: string): boolean => word === DEMOS || shows.some(({ name }) => name === word);
  const given = filters.filter((word) => !isShow(word));
  const plan: (typeof PLANS)[keyof typeof PLANS] =
    filters.length === 0 ? PLANS[machine] : { suites: runsOf(given), demos: filters.includes(DEMOS) };
  const beyond = machine === 'qemu' ? [] : Object.keys(BEYOND_UML);
  return [
    ...plan.suites.map((suite) => {
      const name =
        plan.suites.length > 1 ? suite.join().replace('/tests', '').replace('chapters/', '') : 'suites';
      return vitest(
        name,
        suite,
        beyond.filter((file) => !suite.includes(file)),
      );
    }),
    ...shows.filter(({ name }) => plan.demos || filters.includes(name)),
  ];
}

/** Whole suites run one after the other, as they do in the plan; what else is named runs in one go. */
function runsOf(words: string[]): string[][] {
  if (words.every((word) => SUITES.includes(word))) return words.map((word) => [word]);
  return [words];
}

/** Each passes when every claim held. */
function demos(): Step[] {
  const numbers = readdirSync(join(import.meta.dirname, '../chapters')).map((slug) => slug.slice(0, 2));
  return [
    ...numbers
      .sort()
      .map((number) => show(`demo-${number}`, `npm run --silent demo -- ${number} --reference`)),
    show('start', 'npm start --silent -- --once'),
  ];
}

const show = (name: string, command: string): Step => ({ name, command, vitest: false, words: [name] });

/** A command of whoever asks, which passes when its status is 0. @throws Error when it has more than one line: a plan has a line a step */
export function commandStep(command: string): Step {
  if (/[\n\t]/.test(command)) throw new Error('a command for a machine is one line, without tabs');
  return { name: 'command', command, vitest: false, words: ['--run', quoted(command)] };
}

/** A machine in software is slow, the more so when its host is busy. What hangs is ended by vitest's set-up, or by the machine's time limit. milliseconds */
const PATIENCE = 300_000;

const vitest = (name: string, words: readonly string[], excluded: readonly string[]): Step => ({
  name,
  command: [
    `node node_modules/vitest/vitest.mjs run --testTimeout=${PATIENCE} --hookTimeout=${PATIENCE}`,
    '--reporter=default --reporter=json --outputFile.json="$REPORT"',
    ...words.map(quoted),
    ...excluded.flatMap((file) => ['--exclude', quoted(file)]),
  ].join(' '),
  vitest: true,
  words,
});

/** A word for a shell. */
const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;
