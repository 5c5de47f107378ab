import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, expect } from 'vitest';
import { unmountAll } from '../index.ts';

const made: string[] = [];
const mounted: string[] = [];

/** A folder of this test's own, removed after it. */
export function scratch(): string {
  const dir = mkdtempSync(join(tmpdir(), 'o4-'));
  made.push(dir);
  return dir;
}

/** Has `target` unmounted after the test. */
export function unmountLater(target: string): string {
  mounted.push(target);
  return target;
}

afterEach(() => {
  for (const target of mounted.splice(0).reverse()) unmountAll(target);
  for (const dir of made.splice(0)) rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
});

/** Makes every test of the file fail, aloud, for anyone but root: mount(2), mknod(2) and trusted.* are root's. */
export function needsRoot(): void {
  beforeAll(() => expect(process.getuid?.(), 'these tests need root: run them with sudo').toBe(0));
}
