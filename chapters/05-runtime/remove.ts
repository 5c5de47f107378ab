import { lstatSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { ifAlive } from '../01-processes/index.ts';

/**
 * Removes a file, or a folder with all that is in it, following no links; what is gone already is passed over. Node's rmSync does the same,
 * and more: loading what it needs for that takes longer than a container's few files.
 */
export function remove(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found?.isDirectory()) return void (found && ifAlive(() => unlinkSync(path)));
  for (const name of ifAlive(() => readdirSync(path)) ?? []) remove(join(path, name));
  ifAlive(() => rmdirSync(path));
}
