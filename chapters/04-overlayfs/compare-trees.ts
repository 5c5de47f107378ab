import { lstatSync, type BigIntStats } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../01-processes/index.ts';
import { failedPrecondition } from './errors.ts';
import { fsPath, readNames } from './file-names.ts';
import { layersOf } from './layer-stack.ts';
import type { Mount } from './mounts.ts';
import { overlayView } from './overlay-view.ts';
import { upperTree, type UpperTree } from './upper-tree.ts';
import { getXattr } from './xattr.ts';

/**
 * What one snapshot has changed of its parent. Of an overlay the upper directory says so. Where a snapshot has all its files, as a copy or on
 * btrfs, the two trees are compared: that takes as long as both have files, and is why `docker diff` is slow there.
 * @param before how the parent is mounted as a view; none: everything is new
 * @throws StoreError FAILED_PRECONDITION for mounts that are not of one snapshot
 */
export function changedTree(after: readonly Mount[], before: readonly Mount[] = []): UpperTree {
  const [old, now] = [before[0], after[0]];
  if (now?.type !== 'bind' || old === undefined) return upperTree(layersOf(after));
  if (before.length !== 1 || after.length !== 1 || old.type !== 'bind')
    throw failedPrecondition('only two directories, or an overlay and what it lies on, can be compared');
  return compareTrees(old.source, now.source);
}

/** The changes that make `after` of `before`. A file is taken for the same when all that a write would alter is. */
export function compareTrees(before: string, after: string): UpperTree {
  const below = overlayView([before]);
  const view = overlayView([after]);
  const known = new Map<string, string[]>();
  const locate = (path: string): string => (path === '/' ? after : join(after, path));

  /** Of a directory, the names under which something is different. Each directory is compared once. */
  function names(dir: string): string[] {
    let found = known.get(dir);
    if (!found) {
      const old = below.names(dir);
      found = [...new Set([...old, ...readNames(locate(dir))])]
        .filter((name) => differs(join(dir, name)))
        .sort();
      known.set(dir, found);
    }
    return found;
  }

  function differs(path: string): boolean {
    const [old, now] = [statOf(join(before, path)), statOf(locate(path))];
    if (!old || !now) return true;
    if (old.ino === now.ino && old.ctimeNs === now.ctimeNs && !now.isDirectory()) return false; // a snapshot of btrfs
    if (factsOf(old) !== factsOf(now)) return true;
    return now.isDirectory()
      ? names(path).length > 0
      : capabilityOf(join(before, path)) !== capabilityOf(locate(path));
  }

  return {
    names,
    isWhiteout: (path) => statOf(locate(path)) === undefined,
    isDirectory: (path) => statOf(locate(path))?.isDirectory() === true,
    // What is gone is among the names; only a directory in the place of something else has nothing below it.
    isOpaque: () => false,
    lookup: view.lookup,
    locate,
    bytesOf: locate,
    below,
  };
}

/** What is there; nothing is below what is no directory. */
function statOf(path: string): BigIntStats | undefined {
  try {
    return lstatSync(fsPath(path), { bigint: true });
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** What a write would have changed, as one text. Of directories not size and time, which their content changes. */
export const factsOf = (stat: BigIntStats): string =>
  [stat.mode, stat.uid, stat.gid, stat.rdev, ...(stat.isDirectory() ? [] : [stat.size, stat.mtimeNs])].join();

export const capabilityOf = (path: string): string | undefined =>
  getXattr(path, 'security.capability')?.toString('hex');
