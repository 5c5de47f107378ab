import { lstat } from 'node:fs/promises';
import { closeSync, constants, lstatSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../01-processes/index.ts';
import { fdPath } from '../02-namespaces/index.ts';
import { fsPath, readNames } from './file-names.ts';
import type { Usage } from './snapshotter.ts';

const BYTES_PER_BLOCK = 512n;
/** Characters. */
const LONG = 1000;

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
    if (!stat.isDirectory()) return;
    // A path has at most 4095 bytes, a tree may be deeper: from here on, names begin at handles.
    const handles = path.length < LONG ? [] : [path, shared].map((dir) => dir && openIfAny(dir));
    const [from, sharedFrom] = handles.length === 0 ? [path, shared] : handles.map(placeOf);
    try {
      for (const name of readNames(path))
        await visit(join(from!, name), sharedFrom && join(sharedFrom, name));
    } finally {
      for (const fd of handles) if (typeof fd === 'number') closeSync(fd);
    }
  };
  await visit(path, shared);
  return { size: Number(size), inodes };
}

const placeOf = (fd: number | '' | undefined): string | undefined =>
  typeof fd === 'number' ? fdPath(fd, '.') : undefined;

function openIfAny(dir: string): number | undefined {
  try {
    return openSync(fsPath(dir), constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined;
    throw error;
  }
}
