import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { copyWorkshop, type WorkshopCopy } from './workshop-copy.ts';

// A learner who has filled every gap has written an engine: the stock docker client runs a container on it. Needs `docker`.

let copy: WorkshopCopy;
beforeAll(() => void (copy = copyWorkshop()));
afterAll(() => copy.remove());

const inMy = (words: string[], timeout = 240_000) =>
  spawnSync(process.execPath, ['--import', import.meta.resolve('tsx'), ...words], {
    cwd: join(copy.root, 'my'),
    encoding: 'utf8',
    timeout,
  });

test('begin leaves every gap to be written, and solution --all --apply fills each', () => {
  expect(copy.run('begin').status).toBe(0);
  const started = JSON.parse(copy.run('check', '--json').stdout) as { results: { verdict: string }[] };
  expect(started.results.length).toBeGreaterThan(30);
  expect(new Set(started.results.map(({ verdict }) => verdict))).toEqual(new Set(['not started']));
  expect(copy.run('solution', '--all', '--apply').status).toBe(0);
  const { status, stdout } = copy.run('check');
  expect(stdout).toContain(`All ${started.results.length} passed.`);
  expect(status).toBe(0);
}, 300_000);

test('the demo of the runtime holds on the learner’s code', () => {
  const { status, stdout } = inMy(['chapters/05-runtime/demo.ts']);
  expect(stdout).toMatch(/All \d+ claims held/);
  expect(status).toBe(0);
}, 120_000);

test('my/ proves one container through every layer', () => {
  const { status, stdout, stderr } = inMy(['workshop/start.ts', '--once']);
  expect(status, stdout + stderr).toBe(0);
}, 300_000);

test('the stock docker client runs a container on the learner’s engine', () => {
  const program = `
    const harness = './final/tests/harness.ts';
    const { startTestEngine } = await import(harness);
    const { spawnSync } = await import('node:child_process');
    const t = await startTestEngine();
    try {
      const run = spawnSync('docker', ['-H', 'unix://' + t.engine.socket, 'run', '--rm', 'busybox', 'sh', '-c', 'echo from $(hostname); exit 7'],
        { encoding: 'utf8', env: { PATH: process.env.PATH, HOME: '/nonexistent' } });
      console.log(JSON.stringify(run));
    } finally {
      await t.stop();
    }`;
  const { stdout, stderr } = inMy(['--input-type=module', '--eval', program]);
  const ran = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as { status: number; stdout: string };
  expect(ran.stdout, stderr).toMatch(/^from [0-9a-f]{12}\n$/);
  expect(ran.status).toBe(7);
}, 240_000);
