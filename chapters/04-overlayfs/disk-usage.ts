import { lstat } from 'node:fs/promises';
import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { fsPath, readNames } from './file-names.ts';
import type { Usage } from './snapshotter.ts';

const BYTES_PER_BLOCK = 512n;

/**
 * What a directory and all in it take up: each inode counts once, however many names it has. As `du -s` counts.
 * @param shared a directory that this one began as a snapshot of: files that have not been touched since are the same, and count nothing
 */
export async function diskUsage(path: string, shared?: string): Promise<Usage> {
  const seen = new Set<string>();
  let [size, inodes] = [0n, 0];
  const visit = async (path: string, shared?: string): Promise<void> => {
    const stat = await lstat(fsPath(path), { bigint: true });
    const inode = `${stat.dev}:${stat.ino}`;
    // A snapshot keeps the number and the time of change of each inode.
    const before = shared && lstatSync(fsPath(shared), { bigint: true, throwIfNoEntry: false });
    const isSame = before && before.ino === stat.ino && before.ctimeNs === stat.ctimeNs;
    if (!isSame && !seen.has(inode)) {
      seen.add(inode);
      inodes++;
      size += stat.blocks * BYTES_PER_BLOCK;
    }
    if (stat.isDirectory())
      for (const name of readNames(path)) await visit(join(path, name), shared && join(shared, name));
  };
  await visit(path, shared);
  return { size: Number(size), inodes };
}
