import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildMydocker, runProgram } from './program.ts';
import { fakeDaemon, type FakeDaemon } from './fake-daemon.ts';
import { CREATE_LINES } from './command-lines.ts';

let daemon: FakeDaemon;
let mydocker: Awaited<ReturnType<typeof buildMydocker>>;

beforeAll(async () => {
  mydocker = await buildMydocker();
  daemon = await fakeDaemon({
    apiVersion: '1.47',
    answers: { 'POST /containers/create': { status: 201, json: { Id: 'a'.repeat(64), Warnings: [] } } },
  });
});

afterAll(async () => {
  await daemon.close();
  mydocker.remove();
});

async function bodyOf(program: string, args: readonly string[]): Promise<{ body: string; query: object }> {
  daemon.requests.length = 0;
  const { status, stderr } = await runProgram(program, ['-H', daemon.host, 'create', ...args]);
  expect({ program, stderr, status }).toEqual({ program, stderr: '', status: 0 });
  const { body, query } = daemon.requests.at(-1)!;
  return { body, query };
}

test.each(CREATE_LINES.map((line) => [line.join(' '), line] as const))(
  'create %s: the same bytes as the stock client sends',
  async (_title, line) => {
    const ours = await bodyOf(mydocker.path, line);
    const theirs = await bodyOf('docker', line);
    expect(ours.query).toEqual(theirs.query);
    expect(inOrder(ours.body)).toBe(inOrder(theirs.body.trimEnd()));
  },
);

/** The stock client sends variables and volumes in an order that differs from run to run. */
function inOrder(body: string): string {
  return body.replace(
    /"(Env|Binds)":(\[.*?\])/g,
    (_whole, key: string, list: string) =>
      `"${key}":${JSON.stringify((JSON.parse(list) as string[]).sort())}`,
  );
}
