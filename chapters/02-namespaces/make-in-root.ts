import { closeSync, constants, mkdirSync, openSync, readlinkSync } from 'node:fs';
import { posix } from 'node:path';
import { isErrno } from '../01-processes/index.ts';
import { fdPath, O_PATH, openInRoot, openInRootIfThere } from './open-in-root.ts';

const O_DIRECTORY = constants.O_DIRECTORY;

/** As many symbolic links in a row as the kernel follows. */
const MAX_LINKS = 40;

/**
 * Makes a directory inside a root, with those above it that are missing, and opens it (O_PATH). Links are followed inside the root,
 * also those that lead to nothing yet.
 * @throws SyscallError as openInRoot; ENOTDIR when a file is in the way
 */
export function mkdirAllInRoot(rootFd: number, path: string, mode = 0o755, links = 0): number {
  const there = openInRootIfThere(rootFd, path, { flags: O_PATH | O_DIRECTORY });
  if (there !== undefined) return there;
  const clean = posix.normalize(`/${path}`);
  const { dir, base } = posix.parse(clean);
  const parent = mkdirAllInRoot(rootFd, dir, mode, links);
  try {
    mkdirIfMissing(fdPath(parent, base), mode);
    return openInRoot(parent, base, { flags: O_PATH | O_DIRECTORY, noSymlinks: true });
  } catch (error) {
    // A link, or something that someone exchanges at this very moment.
    if (!isErrno(error, 'ELOOP', 'ENOENT') || links === MAX_LINKS) throw error;
    const target = readlinkIfLink(parent, base);
    return mkdirAllInRoot(rootFd, target === undefined ? clean : posix.resolve(dir, target), mode, links + 1);
  } finally {
    closeSync(parent);
  }
}

/**
 * Makes an empty file inside a root if nothing is there, and opens what is (O_PATH). A link that someone puts there meanwhile is never written
 * through, and a fifo never waited for.
 * @throws SyscallError as mkdirAllInRoot
 */
export function touchInRoot(rootFd: number, path: string, links = 0): number {
  const there = openInRootIfThere(rootFd, path);
  if (there !== undefined) return there;
  const { dir, base } = posix.parse(posix.normalize(`/${path}`));
  const parent = mkdirAllInRoot(rootFd, dir);
  try {
    closeSync(
      openSync(fdPath(parent, base), constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o644),
    );
    return openInRoot(parent, base, { noSymlinks: true });
  } catch (error) {
    if (!isErrno(error, 'EEXIST', 'ELOOP', 'ENOENT') || links === MAX_LINKS) throw error;
    const target = readlinkIfLink(parent, base);
    return touchInRoot(rootFd, target === undefined ? path : posix.resolve(dir, target), links + 1);
  } finally {
    closeSync(parent);
  }
}

function mkdirIfMissing(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
  }
}

function readlinkIfLink(parent: number, name: string): string | undefined {
  try {
    return readlinkSync(fdPath(parent, name));
  } catch (error) {
    if (isErrno(error, 'EINVAL', 'ENOENT')) return undefined;
    throw error;
  }
}
