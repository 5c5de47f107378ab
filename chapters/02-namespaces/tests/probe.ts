import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export { answer, ask as inChild, collect, parked } from '../demo-support.ts';

if (process.getuid!() !== 0) throw new Error('these tests need root: type `sudo npm test`');

/** A directory of the test's own, and its removal. */
export function temporaryDirectory(): { dir: string; remove: () => void } {
  const dir = mkdtempSync(join(tmpdir(), 'ch02-'));
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

/** A short random name: `ch02-k3x9a1`. */
export const randomName = (prefix = 'ch02'): string =>
  `${prefix}-${Math.random().toString(36).slice(2, 8).padEnd(6, '0')}`;
