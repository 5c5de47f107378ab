import { dirname, join } from 'node:path';
import type { LayerStack } from './layer-stack.ts';
import type { Shown } from './overlay-view.ts';
import { upperTree, type UpperTree } from './upper-tree.ts';
import { encodeName } from './file-names.ts';
import { getXattr } from './xattr.ts';

/** One line of `docker diff`: Added, Changed or Deleted. */
export interface Change {
  kind: 'A' | 'C' | 'D';
  /** From the container's root: `/etc/passwd`. */
  path: string;
}

/**
 * What a container has changed, read from its upper directory alone: everything that is there was added or changed, a whiteout
 * is a deletion, and an opaque directory deletes what the lower one held. Sorted by path; a directory on the way to a change
 * counts as changed, as in `docker diff`.
 */
export function changesOf(stack: LayerStack): Change[] {
  const upper = upperTree(stack);
  const { below } = upper;
  const changes: Change[] = [];
  const visit = (dir: string): void => {
    //#gap 04.1 changesOf
    const names = new Set(upper.names(dir));
    for (const name of names) {
      const path = join(dir, name);
      const before = below.lookup(path);
      if (upper.isWhiteout(path)) {
        if (before) changes.push({ kind: 'D', path });
        continue;
      }
      changes.push({ kind: before ? 'C' : 'A', path });
      if (upper.isDirectory(path)) visit(path);
    }
    if (upper.isOpaque(dir))
      for (const name of below.names(dir))
        if (!names.has(name)) changes.push({ kind: 'D', path: join(dir, name) });
    //#end
  };
  visit('/');
  return withoutMereCopies(changes, upper).sort(byPath);
}

/**
 * Leaves out what was copied up and is as it was: a file that was opened for writing, a directory that something else was done in. A directory
 * with a change in it stays.
 */
function withoutMereCopies(changes: readonly Change[], upper: UpperTree): Change[] {
  const real = new Set(changes.filter(({ kind, path }) => kind !== 'C' || !looksTheSame(upper, path)));
  const onTheWay = new Set<string>();
  for (const { path } of real)
    for (let dir = dirname(path); dir !== '/' && !onTheWay.has(dir); dir = dirname(dir)) onTheWay.add(dir);
  return changes.filter((change) => real.has(change) || onTheWay.has(change.path));
}

/** Docker's comparison: what a write would have changed. Of directories not size and time, which their content changes. */
function looksTheSame(upper: UpperTree, path: string): boolean {
  const [now, before] = [upper.lookup(path), upper.below.lookup(path)];
  if (!now || !before) return false;
  const facts = ({ stat }: Shown): bigint[] => [
    stat.mode,
    stat.uid,
    stat.gid,
    stat.rdev,
    ...(stat.isDirectory() ? [] : [stat.size, stat.mtimeNs]),
  ];
  const capability = (file: string): string | undefined =>
    getXattr(file, 'security.capability')?.toString('hex');
  return (
    facts(now).join() === facts(before).join() &&
    capability(upper.locate(path)) === capability(upper.below.locate(before.places[0]!))
  );
}

/** In the order of the bytes: the same on every machine. */
const byPath = (a: Change, b: Change): number => Buffer.compare(encodeName(a.path), encodeName(b.path));
