import { closeSync, constants, fstatSync, openSync, readFileSync, readlinkSync } from 'node:fs';
import { posix } from 'node:path';
import { isErrno, SyscallError } from '../01-processes/index.ts';
import { fdPath, mkdirAllInRoot, O_PATH, openInRootIfThere } from '../02-namespaces/index.ts';

const O_DIRECTORY = constants.O_DIRECTORY;

/**
 * Holds the directory that `path` is for a process whose root is `root`, and gives the path by which it is reached, whatever
 * happens to its name. Nothing is called where there is no such directory.
 * @throws SyscallError ELOOP for a circle of links
 */
export async function withDirectoryInRoot(
  root: string,
  path: string,
  use: (held: string) => Promise<void>,
): Promise<void> {
  const rootFd = openSync(root, O_PATH | O_DIRECTORY);
  try {
    const fd = openInRootIfThere(rootFd, path, { flags: O_PATH | O_DIRECTORY });
    if (fd === undefined) return;
    try {
      await use(fdPath(fd, '.'));
    } finally {
      closeSync(fd);
    }
  } finally {
    closeSync(rootFd);
  }
}

/** As many symbolic links as the kernel follows. */
const MAX_LINKS = 40;
const ELOOP = 40;

/**
 * Where a path leads, for a process whose root is `rootFd`: no link in it, and none at its end. What is not there is passed over: it may be
 * about to be made. Only to be told: between this and the next call links may be others.
 * @throws SyscallError ELOOP for a circle of links
 */
export function resolveInRoot(rootFd: number, path: string): string {
  let done = '/';
  let links = 0;
  const rest = path.split('/');
  for (let part = rest.shift(); part !== undefined; part = rest.shift()) {
    const next = posix.join(done, part);
    const target = part === '..' ? undefined : linkAt(rootFd, next);
    if (target === undefined) done = next;
    else {
      if (++links > MAX_LINKS) throw new SyscallError('readlink', ELOOP, path);
      if (target.startsWith('/')) done = '/';
      rest.unshift(...target.split('/'));
    }
  }
  return done;
}

/** The text of a link; nothing for what is none. `path` has no link before its end. */
function linkAt(rootFd: number, path: string): string | undefined {
  const parent = openInRootIfThere(rootFd, posix.dirname(path), { flags: O_PATH | O_DIRECTORY });
  if (parent === undefined) return undefined;
  try {
    return readlinkSync(fdPath(parent, posix.basename(path)));
  } catch (error) {
    if (isErrno(error, 'EINVAL', 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  } finally {
    closeSync(parent);
  }
}

/** A file's text, or nothing where there is no such file. @throws SyscallError ELOOP for a circle of links */
export function readInRoot(root: string, path: string): string {
  const rootFd = openSync(root, O_PATH | O_DIRECTORY);
  try {
    const fd = openInRootIfThere(rootFd, path);
    if (fd === undefined) return '';
    try {
      // A fifo or a device in its place would hold up the daemon, or worse: first looked at, then opened.
      return fstatSync(fd).isFile() ? readFileSync(fdPath(fd), 'utf8') : '';
    } finally {
      closeSync(fd);
    }
  } finally {
    closeSync(rootFd);
  }
}

/** Makes a directory and those above it, where they are not there yet. @throws SyscallError ENOTDIR when a file is in the way */
export function makeDirectoryInRoot(root: string, path: string): void {
  const rootFd = openSync(root, O_PATH | O_DIRECTORY);
  try {
    closeSync(mkdirAllInRoot(rootFd, path));
  } finally {
    closeSync(rootFd);
  }
}
