import { invalidArgument } from './errors.ts';

/** Text by name that callers hang on content, snapshots and images; containerd's garbage collector reads some. */
export type Labels = Record<string, string>;

/**
 * The labels after an update, in containerd's way: without field paths, or with `labels`, all are replaced; with
 * `labels.NAME` that one is set, or removed where the new value is empty.
 * @throws StoreError INVALID_ARGUMENT for any other field path: nothing else can be changed
 */
export function updatedLabels(old: Labels, update: Labels, fieldpaths: readonly string[] = []): Labels {
  let result: Labels = fieldpaths.length === 0 ? { ...update } : { ...old };
  for (const path of fieldpaths) {
    const name = /^labels\.(.+)$/s.exec(path)?.[1];
    if (path === 'labels') result = { ...update };
    else if (name === undefined) throw invalidArgument(`cannot update ${JSON.stringify(path)}: only labels`);
    else if (update[name]) result[name] = update[name];
    else delete result[name];
  }
  return result;
}
