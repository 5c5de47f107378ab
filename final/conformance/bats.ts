import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { imageServer } from './images.ts';
import { inSandbox, must } from './sandbox.ts';
import type { Case } from './table.ts';

/** runc's integration suite, ready to run. */
export interface RuncSuite {
  /** tests/integration of the checkout. */
  folder: string;
  files: string[];
  /** The folder that stands in for the network. */
  bin: string;
}

/** Programs that the suite talks to containers by, and where versions of it have them: source, and what is built. */
const HELPERS = [
  'recvtty',
  'sd-helper',
  'seccompagent',
  'fs-idmap',
  'pidfd-kill',
  'remap-rootfs',
  'key_label',
].flatMap((name) => [
  { source: `contrib/cmd/${name}`, built: `contrib/cmd/${name}/${name}` },
  { source: `tests/cmd/${name}`, built: `tests/cmd/_bin/${name}` },
]);

/**
 * Builds the suite's helpers in the checkout, and makes its images.
 * @throws Error naming the program that is missing: bats, jq, gawk, go, gcc
 */
export function prepareRunc(checkout: string, work: string): RuncSuite {
  for (const [program, option] of [
    ['bats', '--version'],
    ['jq', '--version'],
    ['gawk', '--version'],
    ['gcc', '--version'],
  ] as const)
    must(program, [option]);
  for (const { source, built } of HELPERS)
    if (existsSync(join(checkout, source)) && !existsSync(join(checkout, built)))
      must('go', ['build', '-tags', 'seccomp', '-o', built, `./${source}`], {
        cwd: checkout,
        env: { ...process.env, GOFLAGS: '-mod=vendor' },
      });
  const folder = join(checkout, 'tests/integration');
  const files = readdirSync(folder).filter((name) => name.endsWith('.bats'));
  return { folder, files: files.sort(), bin: imageServer(work) };
}

/** Runs one file of the suite with a runtime. What was not reached before the time limit has no case in the answer. */
export function runBats({ folder, bin }: RuncSuite, file: string, runtime: string, limit: number): Case[] {
  const program = runtime.includes('/') ? runtime : `/usr/sbin/${runtime}`;
  const { output } = inSandbox(['bats', '--tap', file], {
    cwd: folder,
    env: {
      PATH: `${bin}:${process.env['PATH']}`,
      HOME: '/root',
      RUNC: existsSync(program) ? program : runtime,
    },
    limit,
  });
  return parseTap(output);
}

/** `ok 3 name # skip why` and `not ok 4 name`, with the lines of comment below it. Source: testanything.org. */
export function parseTap(output: string): Case[] {
  const cases: Case[] = [];
  for (const line of output.split('\n')) {
    const [, not, name, why] = /^(not )?ok \d+ (.*?)(?: # skip ?(.*))?$/i.exec(line) ?? [];
    if (name !== undefined)
      cases.push({
        name,
        verdict: why !== undefined ? 'skipped' : not ? 'failed' : 'passed',
        note: why ?? '',
      });
    else if (line.startsWith('#') && cases.at(-1)?.verdict === 'failed')
      cases.at(-1)!.note += ` ${line.slice(1).trim()}`;
  }
  return cases.map((each) => ({ ...each, note: each.note.trim().slice(0, 300) }));
}
