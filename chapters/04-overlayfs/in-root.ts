import { closeSync, constants, mkdirSync, openSync } from 'node:fs';
import { isErrno } from '../01-processes/index.ts';
import { fdPath, O_PATH, openInRoot } from '../02-namespaces/index.ts';
import { invalidArgument } from './errors.ts';
import { fsPath } from './file-names.ts';

/** Opens a directory as a handle to work below: it stays the same whatever happens to its name. To be closed. */
export function openDirectory(path: string): number {
  return openSync(fsPath(path), constants.O_RDONLY | constants.O_DIRECTORY);
}

/** PATH_MAX, without the NUL at its end. Bytes. */
const LONGEST_PATH = 4095;

/**
 * The parts of a name in an archive. A leading `/` and `.` mean nothing; `..` is refused: no honest layer has it.
 * @throws StoreError INVALID_ARGUMENT
 */
export function pathParts(name: string): string[] {
  if (Buffer.byteLength(name) > LONGEST_PATH)
    throw invalidArgument(`a path of ${Buffer.byteLength(name)} bytes: at most ${LONGEST_PATH}`);
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..') || name.includes('\0'))
    throw invalidArgument(`${JSON.stringify(name)} climbs out of the layer: refused`);
  return parts;
}

/**
 * Opens the directory that `parts` lead to, inside `root`. With `make`, missing ones are made, and told.
 * `undefined` when it is not there and not to be made. To be closed.
 * @throws StoreError INVALID_ARGUMENT when something on the way is no directory, or a link that leads nowhere inside
 */
export function openParent(root: number, parts: readonly string[], make: boolean): number | undefined {
  const path = fsPath(parts.join('/'));
  const dangling = (): Error =>
    invalidArgument(
      `${JSON.stringify(parts.join('/'))} is a file, or a link to nothing inside the layer: refused`,
    );
  //#gap 04.5 openParent
  const flags = O_PATH | constants.O_DIRECTORY;
  try {
    return openInRoot(root, path, { flags });
  } catch (error) {
    if (isErrno(error, 'ENOTDIR')) throw dangling();
    if (!isErrno(error, 'ENOENT')) throw error;
    if (!make) return undefined;
  }
  const parent = openParent(root, parts.slice(0, -1), true)!;
  try {
    // By a name without a slash, in a directory that is held: no link can bend that.
    mkdirSync(fsPath(fdPath(parent, parts.at(-1)!)), 0o755);
  } catch (error) {
    throw isErrno(error, 'EEXIST') ? dangling() : error;
  } finally {
    closeSync(parent);
  }
  return openInRoot(root, path, { flags });
  //#end
}
