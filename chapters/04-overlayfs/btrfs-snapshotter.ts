import { mkdirSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { createSubvolume, destroySubvolume, isSubvolume, makeReadOnly, snapshotSubvolume } from './btrfs.ts';
import { diskUsage } from './disk-usage.ts';
import { failedPrecondition } from './errors.ts';
import { bindMounts } from './native-snapshotter.ts';
import { makeFs } from './overlay-snapshotter.ts';
import { removeTree } from './remove-tree.ts';
import { openSnapshots, type SnapshotFiles } from './snapshot-store.ts';
import type { Snapshotter } from './snapshotter.ts';

/** How statfs(2) calls btrfs: linux/magic.h. */
const BTRFS_SUPER_MAGIC = 0x9123683e;

/**
 * Snapshots as btrfs' own: `snapshots/ID/fs` is a subvolume, and a child is a snapshot of its parent's. Both share all blocks, until
 * either writes: then that block is copied, not the file.
 * @param dir an absolute path, on btrfs
 * @throws StoreError as openSnapshots; FAILED_PRECONDITION on another filesystem
 */
export async function btrfsSnapshotter(dir: string): Promise<Snapshotter> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  checkBtrfs(dir);
  return openSnapshots(dir, BTRFS);
}

/** @throws StoreError FAILED_PRECONDITION when a folder is on another filesystem */
export function checkBtrfs(dir: string): void {
  const { type } = statfsSync(dir);
  if (type !== BTRFS_SUPER_MAGIC)
    throw failedPrecondition(
      `${JSON.stringify(dir)} is not on btrfs (its filesystem has the number 0x${type.toString(16)}): snapshots need one, made by mkfs.btrfs and mounted there`,
    );
}

const BTRFS: SnapshotFiles = {
  name: 'btrfs',
  make: async (folder, parent, kind) => {
    const fs = join(folder, 'fs');
    if (kind === 'view' && parent !== undefined) await makeFs(folder, parent);
    else if (parent === undefined) createSubvolume(fs);
    else snapshotSubvolume(join(parent, 'fs'), fs);
  },
  mounts: bindMounts,
  committed: (folder) => makeReadOnly(join(folder, 'fs')),
  remove: async (folder) => {
    const fs = join(folder, 'fs');
    if (isSubvolume(fs)) destroySubvolume(fs);
    await removeTree(folder);
  },
  usage: (folder, parent) => diskUsage(join(folder, 'fs'), parent && join(parent, 'fs')),
};
