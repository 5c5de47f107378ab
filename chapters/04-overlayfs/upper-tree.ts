import { join } from 'node:path';
import { failedPrecondition } from './errors.ts';
import { readNames } from './file-names.ts';
import type { LayerStack } from './layer-stack.ts';
import { overlayView, type OverlayView, type Shown } from './overlay-view.ts';
import { isOpaque, OVERLAY_ATTRIBUTES } from './whiteout.ts';
import { getXattr } from './xattr.ts';

/** A writable layer as a tree of changes. Paths are from the container's root: `/etc/passwd`. */
export interface UpperTree {
  /** The names in a directory about which the layer says something. Sorted. */
  names(dir: string): string[];
  /** Whether all that is said of a name is that it is gone. */
  isWhiteout(path: string): boolean;
  isDirectory(path: string): boolean;
  /** Whether nothing of what lay in a directory before is still there, but for what `names` tells. */
  isOpaque(dir: string): boolean;
  /** What is there now. */
  lookup(path: string): Shown | undefined;
  /** Where it lies on the disk: its owner, mode, times and attributes. */
  locate(path: string): string;
  /** Where its bytes lie, which may be in a layer below. @throws StoreError FAILED_PRECONDITION when they are nowhere */
  bytesOf(path: string): string;
  /** What the layers below show, without this one. */
  below: OverlayView;
}

/**
 * Reads an upper directory with all of overlayfs' marks in it. Almost always what is in the directory is what it says. Only a directory
 * that was renamed (redirect_dir) brings names along that lie in other layers: it says more than it holds.
 */
export function upperTree({ upper, lowers, userxattr = false }: LayerStack): UpperTree {
  const attributes = OVERLAY_ATTRIBUTES[userxattr ? 'user' : 'trusted'];
  const below = overlayView(lowers, userxattr);
  const view = overlayView([upper, ...lowers], userxattr);

  const shown = (path: string): Shown => {
    const found = view.lookup(path);
    if (!found) throw failedPrecondition(`${JSON.stringify(path)}: nothing is there any more`);
    return found;
  };
  const isOwn = ({ places }: Shown): boolean => places[0]!.layer === 0;

  /** Whether a directory lies on the very directories that were seen in its place before. */
  function isAligned(dir: string): boolean {
    const before = below.lookup(dir)?.places ?? [];
    const after = shown(dir).places.slice(1);
    return (
      before.length === after.length &&
      before.every(({ layer, path }, i) => after[i]!.layer === layer + 1 && after[i]!.path === path)
    );
  }

  function names(dir: string): string[] {
    const found = shown(dir);
    if (!isOwn(found)) return view.names(dir);
    const own = readNames(join(upper, dir));
    const brings = found.places.length > 1 && !isAligned(dir);
    return brings ? [...new Set([...own, ...view.names(dir)])].sort() : own;
  }

  function isOpaqueHere(dir: string): boolean {
    const path = join(upper, dir);
    if (lowers.length === 0 && getXattr(path, `${attributes}redirect`) !== undefined)
      throw failedPrecondition(
        `${JSON.stringify(path)} was renamed with redirect_dir: what is in it cannot be told without the layers below`,
      );
    const own = isOwn(shown(dir));
    return (
      own &&
      (isOpaque(path, attributes) || (below.lookup(dir)?.stat.isDirectory() === true && !isAligned(dir)))
    );
  }

  return {
    names,
    isWhiteout: (path) => view.lookup(path) === undefined,
    isDirectory: (path) => view.lookup(path)?.stat.isDirectory() === true,
    isOpaque: isOpaqueHere,
    lookup: view.lookup,
    locate: (path) => view.locate(shown(path).places[0]!),
    bytesOf: (path) => {
      const bytes = view.bytesOf(shown(path));
      if (bytes === undefined)
        throw failedPrecondition(
          `${JSON.stringify(join(upper, path))} has been copied up without its bytes (metacopy), and the layers below do not have them`,
        );
      return bytes;
    },
    below,
  };
}

/** A directory of any kind as a tree without marks. */
export function plainTree(
  root: string,
): Pick<UpperTree, 'names' | 'isWhiteout' | 'isOpaque' | 'locate' | 'bytesOf'> {
  // The top may be a file: no slash after it.
  const locate = (path: string): string => (path === '/' ? root : join(root, path));
  return {
    names: (dir) => readNames(locate(dir)),
    isWhiteout: () => false,
    isOpaque: () => false,
    locate,
    bytesOf: locate,
  };
}
