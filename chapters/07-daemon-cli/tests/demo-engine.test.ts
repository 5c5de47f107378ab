import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { kill, SIGNALS } from '../../01-processes/index.ts';
import { linkExists } from '../../02-namespaces/index.ts';
import { demoEngine } from '../demo-engine.ts';

test('an engine whose daemon dies while it takes everything away takes everything away all the same', async () => {
  const root = mkdtempSync(join(tmpdir(), '07e-engine-'));
  const engine = await demoEngine(root);
  const daemon = await engine.start();
  // It cannot answer, and dies with the first request in its hands.
  kill(daemon, SIGNALS['SIGSTOP']!);
  const stopping = engine.stop();
  await sleep(300);
  kill(daemon, SIGNALS['SIGKILL']!);
  await stopping;
  expect(existsSync(root)).toBe(false);
  expect(linkExists(engine.bridge)).toBe(false);
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(root);
});
