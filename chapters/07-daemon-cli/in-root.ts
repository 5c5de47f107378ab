import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
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
