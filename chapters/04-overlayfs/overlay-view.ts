import { lstatSync, type BigIntStats } from 'node:fs';
import { dirname, join } from 'node:path';
import { decodeName, fsPath, readNames } from './file-names.ts';
import { isAttributeWhiteout, isWhiteout, OVERLAY_ATTRIBUTES } from './whiteout.ts';
import { getXattr } from './xattr.ts';

/*
 * What overlayfs shows of a stack of directories, found out without mounting it, as the kernel's own lookup does: names merge from the
 * top down until something hides the rest. Two options of overlayfs make upper directories that lean on what is below by more than the
 * name. redirect_dir: a directory that was renamed says where the rest of it lies. metacopy: a file of which mode or owner was
 * changed has been copied up without its bytes. Distributions turn either on, in /sys/module/overlay/parameters.
 * Source: Documentation/filesystems/overlayfs.rst, "redirect_dir", "Metadata only copy up"; fs/overlayfs/namei.c.
 */

/** Where a name lies: in which layer, counted from the top, and by which path in it. */
export interface Place {
  layer: number;
  path: string;
}

/** What is shown under a name. */
export interface Shown {
  stat: BigIntStats;
  /** Of a directory all that are merged, the nearest first; of a file the nearest, and below a metadata-only copy those it leans on. */
  places: Place[];
}

export interface OverlayView {
  /** `undefined` where nothing is shown. @param path from the root: `/etc/passwd` */
  lookup(path: string): Shown | undefined;
  /** The names that a directory shows; none where no directory is. */
  names(dir: string): string[];
  /** A place's path on the disk. */
  locate(place: Place): string;
  /** Where the bytes of a file lie; `undefined` if they are missing. */
  bytesOf(shown: Shown): string | undefined;
}

/** @param layers directories, the nearest first */
export function overlayView(layers: readonly string[], userxattr = false): OverlayView {
  const attribute = OVERLAY_ATTRIBUTES[userxattr ? 'user' : 'trusted'];
  const roots = layers.map((_, layer) => ({ layer, path: '/' }));
  const locate = ({ layer, path }: Place): string => join(layers[layer]!, path);
  const has = (place: Place, name: 'metacopy' | 'redirect' | 'opaque'): string | undefined =>
    textOf(getXattr(locate(place), attribute + name));
  /** Directories that were looked up: each is asked for again with every name in it. */
  const directories = new Map<string, Shown>();
  let last: { path: string; shown: Shown | undefined } | undefined;

  function lookup(path: string): Shown | undefined {
    const known = path === last?.path ? last.shown : directories.get(path);
    if (known || path === last?.path) return known;
    const shown = path === '/' ? top() : find(path);
    if (shown?.stat.isDirectory()) directories.set(path, shown);
    last = { path, shown };
    return shown;
  }

  const top = (): Shown | undefined =>
    roots[0] && { stat: lstatSync(locate(roots[0]), { bigint: true }), places: roots };

  function find(path: string): Shown | undefined {
    const parent = lookup(dirname(path));
    if (!parent?.stat.isDirectory()) return undefined;
    let toLookIn = parent.places;
    /** What it is called in the layers to come: a name in the parent, or, once renamed, a path from the root. */
    let wanted = path.slice(path.lastIndexOf('/') + 1);
    let shown: Shown | undefined;
    while (toLookIn.length > 0) {
      const [here, ...below] = toLookIn;
      toLookIn = below;
      const step = walk(here!, wanted);
      if (step.stat && (!shown || step.stat.isDirectory() === shown.stat.isDirectory())) {
        shown ??= { stat: step.stat, places: [] };
        shown.places.push(step.place);
      } else if (step.stat) break; // a file below a directory: hidden
      if (step.ends) break;
      if (step.next.startsWith('/') && !wanted.startsWith('/')) toLookIn = roots.slice(here!.layer + 1);
      wanted = step.next;
    }
    return shown;
  }

  interface Step {
    /** What is there; `undefined` if nothing is. */
    stat?: BigIntStats;
    place: Place;
    /** Whether the layers below have no say. */
    ends: boolean;
    /** What it is called there. */
    next: string;
  }

  /** One layer's answer. Any directory on a path may be opaque, or have been renamed. */
  function walk({ layer, path: base }: Place, wanted: string): Step {
    const isAbsolute = wanted.startsWith('/');
    const parts = wanted.split('/').filter(Boolean);
    const step: Step = { place: { layer, path: isAbsolute ? '/' : base }, ends: false, next: wanted };
    for (let left = parts.length - 1; left >= 0; left--) {
      const parent = step.place;
      step.place = { layer, path: join(parent.path, parts[parts.length - 1 - left]!) };
      const path = locate(step.place);
      const stat = lstatSync(fsPath(path), { bigint: true, throwIfNoEntry: false });
      if (!stat) return step;
      const isMark = isWhiteout(stat) || isAttributeWhiteout(path, stat, attribute);
      if (isMark || (left > 0 && !stat.isDirectory())) return { ...step, ends: true };
      if (stat.isDirectory()) step.ends ||= has(step.place, 'opaque') === 'y';
      else step.ends = !stat.isFile() || has(step.place, 'metacopy') === undefined;
      const redirect = step.ends && !stat.isDirectory() ? undefined : has(step.place, 'redirect');
      if (redirect?.startsWith('/')) step.ends = false;
      if (redirect) step.next = renamed(step.next, redirect, left);
      if (left === 0) step.stat = stat;
    }
    return step;
  }

  function names(dir: string): string[] {
    const shown = lookup(dir);
    if (!shown?.stat.isDirectory()) return [];
    const found = new Set(shown.places.flatMap((place) => readNames(locate(place))));
    return [...found].filter((name) => lookup(join(dir, name))).sort();
  }

  function bytesOf({ stat, places }: Shown): string | undefined {
    const place = places.at(-1)!;
    return stat.isFile() && has(place, 'metacopy') === undefined ? locate(place) : undefined;
  }

  return { lookup, names, locate, bytesOf };
}

const textOf = (value: Buffer | undefined): string | undefined => value && decodeName(value);

/** A path of which one part, `left` before the last, is called otherwise: from the root, or by another name in the same place. */
function renamed(path: string, redirect: string, left: number): string {
  const parts = path.split('/');
  const after = parts.slice(parts.length - left);
  const before = redirect.startsWith('/') ? [] : parts.slice(0, parts.length - 1 - left);
  return [...before, redirect, ...after].join('/');
}
