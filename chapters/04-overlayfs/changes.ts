import { lstatSync, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import { failedPrecondition } from './errors.ts';
import { fsPath, readNames } from './file-names.ts';
import type { Mount } from './mounts.ts';
import { isOpaque, isWhiteout, lstatIfAny } from './whiteout.ts';

/** One line of `docker diff`: Added, Changed or Deleted. */
export interface Change {
  kind: 'A' | 'C' | 'D';
  /** From the container's root: `/etc/passwd`. */
  path: string;
}

/** A writable directory and what it lies on, the nearest first. */
export interface LayerStack {
  upper: string;
  lowers: string[];
}

/**
 * The directories behind a snapshot's mounts.
 * @throws StoreError FAILED_PRECONDITION when they are not those of one writable snapshot
 */
export function layersOf(mounts: readonly Mount[]): LayerStack {
  const [mount] = mounts;
  if (mounts.length === 1 && mount?.type === 'bind') return { upper: mount.source, lowers: [] };
  const option = (name: string): string | undefined =>
    mount?.options.find((option) => option.startsWith(`${name}=`))?.slice(name.length + 1);
  const [upper, lower] = [option('upperdir'), option('lowerdir')];
  if (mounts.length !== 1 || mount?.type !== 'overlay' || !upper || !lower)
    throw failedPrecondition('only the changes of one writable overlay or directory can be told');
  return { upper, lowers: lower.split(':') };
}

/**
 * What a container has changed, read from its upper directory alone: everything that is there was added or changed, a whiteout
 * is a deletion, and an opaque directory deletes what the lower one held. Sorted by path; a directory on the way to a change
 * counts as changed, as in `docker diff`.
 */
export function changesOf({ upper, lowers }: LayerStack): Change[] {
  const changes: Change[] = [];
  const visit = (dir: string): void => {
    //#gap 04.1 changesOf
    const names = readNames(join(upper, dir));
    for (const name of names) {
      const path = join(dir, name);
      const stat = lstatSync(fsPath(join(upper, path)));
      const below = lookup(lowers, path);
      if (isWhiteout(stat)) {
        if (below) changes.push({ kind: 'D', path });
        continue;
      }
      changes.push({ kind: below ? 'C' : 'A', path });
      if (stat.isDirectory()) visit(path);
    }
    if (isOpaque(join(upper, dir)))
      for (const name of namesBelow(lowers, dir))
        if (!names.includes(name)) changes.push({ kind: 'D', path: join(dir, name) });
    //#end
  };
  visit('/');
  return changes.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** What overlayfs would show at `path` if these layers were all: the nearest that says anything about it wins. */
export function lookup(layers: readonly string[], path: string): Stats | undefined {
  for (const layer of layers) {
    const stat = lstatIfAny(join(layer, path));
    if (stat) return isWhiteout(stat) ? undefined : stat;
    if (hides(layer, dirname(path))) return undefined;
  }
  return undefined;
}

/** Whether a layer keeps the ones below it from being seen in `dir`: by a whiteout, a file, or an opaque mark on the way. */
function hides(layer: string, dir: string): boolean {
  if (dir === '/') return false;
  const stat = lstatIfAny(join(layer, dir));
  if (stat && (!stat.isDirectory() || isOpaque(join(layer, dir)))) return true;
  return hides(layer, dirname(dir));
}

/** The names that `layers` show in a directory. */
function namesBelow(layers: readonly string[], dir: string): Set<string> {
  const names = layers.flatMap((layer) =>
    lstatIfAny(join(layer, dir))?.isDirectory() ? readNames(join(layer, dir)) : [],
  );
  return new Set(names.filter((name) => lookup(layers, join(dir, name))));
}
