import { closeSync, constants, mkdirSync, openSync } from 'node:fs';
import { checked, isErrno } from '../01-processes/index.ts';
import { invalidArgument } from './errors.ts';
import { c_openat2, SYS_openat2 } from './syscalls.ts';

const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_IN_ROOT = 0x10;
const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;

/** Opens a directory as a handle to work below: it stays the same whatever happens to its name. To be closed. */
export function openDirectory(path: string): number {
  return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
}

/**
 * Opens `path` as a process whose root directory is `root` would: `..` and symbolic links, also absolute ones, end at that root.
 * Nothing outside can be reached, whatever the names are. To be closed.
 * Source: openat2(2), Linux 5.6.
 * @throws SyscallError ENOENT, ENOTDIR, ELOOP …
 */
export function openInRoot(root: number, path: string, flags: number): number {
  //#gap 04.5 openInRoot
  const how = new BigUint64Array([
    BigInt(flags | O_CLOEXEC),
    0n, // the mode of a new file: none is made here
    BigInt(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS),
  ]);
  for (;;) {
    try {
      const fd = c_openat2(SYS_openat2, root, path, how, how.byteLength);
      return checked('openat2', fd, JSON.stringify(path));
    } catch (error) {
      // Someone renamed on the way, so that the kernel could not be sure: ask again.
      if (!isErrno(error, 'EAGAIN')) throw error;
    }
  }
  //#end
}

/**
 * The parts of a name in an archive. A leading `/` and `.` mean nothing; `..` is refused: no honest layer has it.
 * @throws StoreError INVALID_ARGUMENT
 */
export function pathParts(name: string): string[] {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..') || name.includes('\0'))
    throw invalidArgument(`${JSON.stringify(name)} climbs out of the layer: refused`);
  return parts;
}

/** How a handle's directory, and a name in it, are said to calls that take a path: through the process's own descriptors. */
export const inDirectory = (fd: number, name: string): string => `/proc/self/fd/${fd}/${name}`;

/**
 * Opens the directory that `parts` lead to, inside `root`. With `make`, missing ones are made, and told.
 * `undefined` when it is not there and not to be made. To be closed.
 * @throws StoreError INVALID_ARGUMENT when something on the way is no directory, or a link that leads nowhere inside
 */
export function openParent(root: number, parts: readonly string[], make: boolean): number | undefined {
  const path = parts.join('/') || '.';
  try {
    return openInRoot(root, path, O_PATH | constants.O_DIRECTORY);
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw error;
    const dangling = (): Error =>
      invalidArgument(`${JSON.stringify(path)} is a file, or a link to nothing inside the layer: refused`);
    if (isErrno(error, 'ENOTDIR')) throw dangling();
    if (!make) return undefined;
    const parent = openParent(root, parts.slice(0, -1), true)!;
    try {
      mkdirSync(inDirectory(parent, parts.at(-1)!), 0o755);
    } catch (error) {
      throw isErrno(error, 'EEXIST') ? dangling() : error;
    } finally {
      closeSync(parent);
    }
    return openInRoot(root, path, O_PATH | constants.O_DIRECTORY);
  }
}
