import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { lstatSync, renameSync, rmSync } from 'node:fs';
import { isErrno } from '../01-processes/index.ts';
import { fsPath, readNames } from './file-names.ts';

/**
 * Removes a file, or a directory with all in it, however deep that is; nothing there is no error.
 *
 * A path has at most 4095 bytes, a tree may be deeper: `while mkdir d && cd d; do :; done` in a container makes one. What lies too deep to be
 * named is first brought up: rename(2) of a directory takes all below it along.
 */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(fsPath(path), { recursive: true, force: true });
  } catch (error) {
    if (!isErrno(error, 'ENAMETOOLONG')) throw error;
    removeTreeSync(path);
  }
}

/** The same at once, for small trees. */
export function removeTreeSync(path: string): void {
  for (;;) {
    try {
      return rmSync(fsPath(path), { recursive: true, force: true });
    } catch (error) {
      if (!isErrno(error, 'ENAMETOOLONG') || bringUp(path) === 0) throw error;
    }
  }
}

/** So far below the top a directory is brought up. Bytes; a name has 255. */
const DEEP = 2048;

/** Moves what lies deep to the top. @returns how many directories were moved */
function bringUp(top: string): number {
  let moved = 0;
  const walk = (dir: string, depth: number): void => {
    for (const name of readNames(dir)) {
      const path = `${dir}/${name}`;
      if (!lstatSync(fsPath(path)).isDirectory()) continue;
      const below = depth + Buffer.byteLength(name) + 1;
      if (below < DEEP) walk(path, below);
      else {
        renameSync(fsPath(path), fsPath(`${top}/${randomBytes(16).toString('hex')}`));
        moved++;
      }
    }
  };
  walk(top, 0);
  return moved;
}
