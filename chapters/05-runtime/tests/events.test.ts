import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { traces, workbench, type Workbench } from './workbench.ts';

const MB = 1 << 20;

let bench: Workbench;
beforeAll(async () => void (bench = await workbench()));
afterAll(() => bench.remove());

it('events tells the use now and then, and each process that is killed for want of memory, until the container is gone', async () => {
  const id = bench.id();
  const bundle = bench.bundle((spec) => {
    const hog = 'x=$(cat /dev/urandom)';
    spec.process.args = ['sh', '-c', `until [ -e /go ]; do sleep 0.1; done; sh -c '${hog}'; sleep 1000`];
    spec.linux.resources = { ...spec.linux.resources, memory: { limit: 32 * MB, swap: 32 * MB } };
  });
  expect(bench.myrunc('run', '-d', '--bundle', bundle, id)).toMatchObject({ status: 0, err: '' });

  const events = spawn(bench.program, ['--root', bench.root, 'events', '--interval', '500ms', id], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 110_000,
  });
  const ended = once(events, 'close');
  const lines: string[] = [];
  createInterface({ input: events.stdout }).on('line', (line) => lines.push(line));
  const oom = JSON.stringify({ type: 'oom', id });
  await vi.waitFor(() => expect(lines.length).toBeGreaterThan(1), { timeout: 60_000 });
  expect(lines.map((line) => (JSON.parse(line) as { type: string }).type)).not.toContain('oom');
  expect(JSON.parse(lines[0]!)).toMatchObject({
    type: 'stats',
    id,
    data: { memory: { usage: { limit: 32 * MB } } },
  });

  writeFileSync(join(bundle, 'rootfs/go'), '');
  await vi.waitFor(() => expect(lines).toContain(oom), { timeout: 60_000 });
  expect(bench.myrunc('delete', '--force', id).status).toBe(0);
  expect(await ended).toEqual([0, null]);
  expect(traces(bench)).toEqual([]);
});
