import { join } from 'node:path';
import { applyLayer } from './apply-layer.ts';
import { treeEntries } from './diff-layer.ts';
import { diskUsage } from './disk-usage.ts';
import type { Mount } from './mounts.ts';
import { makeFs } from './overlay-snapshotter.ts';
import { removeTree } from './remove-tree.ts';
import { openSnapshots, type SnapshotFiles } from './snapshot-store.ts';
import type { SnapshotKind, Snapshotter } from './snapshotter.ts';
import { writeTar } from './tar.ts';

/**
 * Snapshots as plain copies: `snapshots/ID/fs` has all files of one, those of its parents included. It asks nothing of the kernel or the
 * filesystem, and pays with time and room. containerd calls it `native`, Docker `vfs`.
 * @param dir an absolute path
 * @throws StoreError as openSnapshots
 */
export const nativeSnapshotter = (dir: string): Promise<Snapshotter> => openSnapshots(dir, NATIVE);

const NATIVE: SnapshotFiles = {
  name: 'native',
  make: async (folder, parent, kind) => {
    await makeFs(folder, parent);
    if (parent === undefined || kind === 'view') return;
    // What a layer keeps of a tree is what a copy has to keep.
    await applyLayer(writeTar(treeEntries(join(parent, 'fs'), '')), join(folder, 'fs'), {
      whiteouts: 'keep',
    });
  },
  mounts: bindMounts,
  remove: removeTree,
  usage: (folder) => diskUsage(join(folder, 'fs')),
};

/** Where a snapshot has all its files, a bind mount shows them. A view has none of its own: it shows its parent's. */
export function bindMounts(kind: SnapshotKind, folder: string, parents: readonly string[]): Mount[] {
  const shown = kind === 'view' ? (parents[0] ?? folder) : folder;
  return [{ type: 'bind', source: join(shown, 'fs'), options: [kind === 'active' ? 'rw' : 'ro', 'rbind'] }];
}
