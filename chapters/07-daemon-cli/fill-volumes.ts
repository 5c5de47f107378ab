import { cp, readdir, stat, chmod, chown } from 'node:fs/promises';
import type { Mount } from '../06-shim-containerd/index.ts';
import { withContainerRoot } from './container-root.ts';
import type { ContainerRecord } from './container.ts';
import type { Daemon } from './daemon.ts';
import { withDirectoryInRoot } from './in-root.ts';

/**
 * Copies into each volume that is still empty what the image has at its place, as Docker does: a database's image brings the files that
 * its volume begins with.
 */
export async function fillVolumes(
  daemon: Daemon,
  record: ContainerRecord,
  mounts: readonly Mount[],
): Promise<void> {
  const empty: { source: string; destination: string }[] = [];
  for (const { type, source, destination, mode } of record.mounts)
    if (type === 'volume' && !mode.includes('nocopy') && (await readdir(source)).length === 0)
      empty.push({ source, destination });
  if (empty.length === 0) return;
  await withContainerRoot(daemon, record.id, mounts, async (root) => {
    for (const { source, destination } of empty)
      await withDirectoryInRoot(root, destination, async (inside) => {
        await cp(inside, source, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
        await copyOwners(inside, source);
      });
  });
}

/** `cp` makes everything root's: owners and modes follow. */
async function copyOwners(from: string, to: string): Promise<void> {
  const found = await stat(from);
  await chown(to, found.uid, found.gid);
  await chmod(to, found.mode & 0o7777);
  for (const entry of await readdir(from, { withFileTypes: true })) {
    if (entry.isSymbolicLink()) continue;
    if (entry.isDirectory()) await copyOwners(`${from}/${entry.name}`, `${to}/${entry.name}`);
    else {
      const file = await stat(`${from}/${entry.name}`);
      await chown(`${to}/${entry.name}`, file.uid, file.gid);
      await chmod(`${to}/${entry.name}`, file.mode & 0o7777);
    }
  }
}
