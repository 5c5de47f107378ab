import { spawn } from 'node:child_process';
import { expect, test } from 'vitest';
import { demoPart as part, expectGone, tsx } from './demo-run.ts';

test('interrupted while a loop runs in its quota, it ends the loop and takes the cgroups away', async () => {
  const run = spawn(tsx, [part('demo.ts')], { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  run.stdout.on('data', (data: Buffer) => {
    const before = text;
    text += data.toString();
    const spinning = /write\("cpu\./;
    if (spinning.test(text) && !spinning.test(before)) run.kill('SIGINT');
  });
  const status = await new Promise((resolve) => run.on('close', (code, signal) => resolve(code ?? signal)));
  expect(status).toBe(130);
  expect(text).not.toContain('4. Memory');
  expectGone(text);
});
