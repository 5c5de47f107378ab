import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { demoParts } from '../demos.ts';
import { chapterSlugs } from '../lesson.ts';
import { ROOT } from '../learner.ts';
import { missingLines, numbersIn, transcriptsOf, type Transcript } from '../transcripts.ts';

describe('a transcript', () => {
  const [one] = transcriptsOf('a\n```console\n$ echo \\\n  b\nb 4\n$ true\n```\n```sh\n$ no\n```\n');

  test('is the commands of a console block with what came', () => {
    expect(one).toEqual({
      line: 2,
      entries: [
        { command: 'echo \\\n  b', output: ['b 4'] },
        { command: 'true', output: [] },
      ],
    });
    expect(transcriptsOf('```console unchecked: needs a registry\nx\n```')[0]).toEqual({
      line: 1,
      unchecked: 'needs a registry',
      entries: [{ command: '', output: ['x'] }],
    });
  });

  test('is still true when only numbers, columns and left-out parts differ', () => {
    const recorded = ['parent  12', '…', 'a file "x-7Fq" … here'];
    expect(missingLines(recorded, 'parent 4011\nmore\n  a file "x-22" was there and here\n')).toEqual([]);
    expect(missingLines(recorded, 'parent 4011\na folder "x-22" is here\n')).toEqual([recorded[2]]);
    expect(missingLines(['a', 'b'], 'b\na\n')).toEqual(['b']);
    expect(numbersIn(['  48213 ? sleep'], '999 x\n 51002 ? sleep\n')).toEqual(new Map([['48213', '51002']]));
  });
});

describe.each(chapterSlugs())('the transcripts of %s', (slug) => {
  const all = transcriptsOf(readFileSync(join(ROOT, 'chapters', slug, 'README.md'), 'utf8'));
  const checked = all.filter(({ unchecked }) => unchecked === undefined);
  const isDemo = (command: string): boolean =>
    command === '' || /^(sudo )?npx tsx \S*\/demo(-\w+)?\.ts$/.test(command);
  const ofDemo = checked.filter(({ entries }) => entries.every(({ command }) => isDemo(command)));
  const ofShell = checked.filter((one) => !ofDemo.includes(one));

  test('from its demos are what they say today', async () => {
    expect(ofDemo.length).toBeGreaterThan(0);
    let said = '';
    for (const { file } of demoParts(slug))
      said += await output([process.execPath, '--import', import.meta.resolve('tsx'), file]);
    const wrong = ofDemo.flatMap(({ line, entries }) =>
      missingLines(
        entries.flatMap((entry) => entry.output),
        said,
      ).map((text) => `README.md:${line}: ${text}`),
    );
    expect(wrong).toEqual([]);
    // All parts of a demo, and those with an engine: a busy machine takes its time.
  }, 300_000);

  if (ofShell.length > 0)
    test('from a shell are what it says today', async () => {
      const wrong: string[] = [];
      for (const transcript of ofShell) wrong.push(...(await typedAgain(transcript)));
      expect(wrong).toEqual([]);
    }, 300_000);
});

/** A function of the shell: waits until what was left to run is there, and waits too: nobody in the pid namespace runs but who looks. */
const SETTLED = `settled() { for i in {1..300}; do
  ps -A -o stat=,comm= | grep -v ' ps$' | grep -q '^[RD]' || return 0; sleep 0.1; done; }`;

/** Types a transcript's commands into one shell, in a folder of its own, and says which recorded lines did not come. */
async function typedAgain({ line, entries }: Transcript): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'transcript-'));
  // The chapter's programs are named as one names them in the checkout.
  for (const name of ['chapters', 'node_modules']) symlinkSync(join(ROOT, name), join(folder, name));
  // Whoever reads types sudo; the tests are root already. What is left running ends with the pid namespace.
  const shell = spawn(
    'unshare',
    ['--mount', '--ipc', '--pid', '--fork', '--kill-child', '--mount-proc', 'bash', '--norc'],
    {
      cwd: folder,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'], HOME: folder, LC_ALL: 'C.UTF-8' },
    },
  );
  let said = '';
  shell.stdout.on('data', (data: Buffer) => void (said += data.toString()));
  // What is said on both streams comes in the order in which it was said.
  shell.stdin.write(`exec 2>&1; sudo() { "$@"; }; ${SETTLED}\n`);
  const wrong: string[] = [];
  const numbers = new Map<string, string>();
  try {
    for (const { command, output } of entries) {
      said = '';
      const now = command.replace(/\b\d{3,}\b/g, (number) => numbers.get(number) ?? number);
      const background = now.trimEnd().endsWith('&');
      shell.stdin.write(`${now}\n${background ? 'settled\n' : ''}echo; echo =over=\n`);
      await expect.poll(() => said, { timeout: 100_000 }).toContain('=over=\n');
      const came = said.replace(/\n?=over=\n/g, '');
      wrong.push(
        ...missingLines(output, came).map((text) => `README.md:${line}: ${text}\n    $ ${now}\n${came}`),
      );
      for (const [before, after] of numbersIn(output, came)) numbers.set(before, after);
    }
  } finally {
    shell.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
  return wrong;
}

async function output([program = '', ...words]: string[]): Promise<string> {
  const child = spawn(program, words, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data: Buffer) => void (said += data.toString()));
  const [status] = (await once(child, 'close')) as [number];
  expect(status, said).toBe(0);
  return said;
}
