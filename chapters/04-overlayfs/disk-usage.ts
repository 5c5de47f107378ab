import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { fsPath, readNames } from './file-names.ts';
import type { Usage } from './snapshotter.ts';

const BYTES_PER_BLOCK = 512;

/** What a directory and all in it take up: each inode counts once, however many names it has. As `du -s` counts. */
export async function diskUsage(path: string): Promise<Usage> {
  const seen = new Set<string>();
  const usage: Usage = { size: 0, inodes: 0 };
  const visit = async (path: string): Promise<void> => {
    const { dev, ino, blocks, isDirectory } = await lstat(fsPath(path)).then((stat) => ({
      ...stat,
      isDirectory: stat.isDirectory(),
    }));
    const inode = `${dev}:${ino}`;
    if (!seen.has(inode)) {
      seen.add(inode);
      usage.inodes++;
      usage.size += blocks * BYTES_PER_BLOCK;
    }
    if (isDirectory) for (const name of readNames(path)) await visit(join(path, name));
  };
  await visit(path);
  return usage;
}
