import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

async function runDemo(...args: string[]): Promise<{ status: number; out: string }> {
  const child = spawn(
    process.execPath,
    ['--single-threaded', '--import', 'tsx', 'chapters/06-shim-containerd/demo.ts', ...args],
    { stdio: ['ignore', 'pipe', 'inherit'], timeout: 110_000 },
  );
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  const [status] = (await once(child, 'close')) as [number];
  return { status, out };
}

test('the demo holds every claim that it makes, and leaves nothing behind', async () => {
  expect(process.getuid?.(), 'the demo makes containers: run this as root').toBe(0);
  const { status, out } = await runDemo('--json');
  const { held, steps } = JSON.parse(out) as {
    held: boolean;
    steps: { title: string; claims: { claim: string; held: boolean }[] }[];
  };
  const broken = steps.flatMap(({ claims }) => claims).filter((claim) => !claim.held);
  expect(broken).toEqual([]);
  expect([status, held]).toEqual([0, true]);
  expect(steps.length).toBe(8);
  // Its folder is named in what it shows; others of its kind are not its own.
  const [folder] = /\/tmp\/ch06-demo-\w+/.exec(out)!;
  expect(existsSync(folder)).toBe(false);
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(folder);
});
