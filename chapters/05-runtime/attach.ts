import { closeSync, mkdirSync, openSync, readlinkSync, constants } from 'node:fs';
import { posix } from 'node:path';
import { checked, isErrno } from '../01-processes/index.ts';
import { c_move_mount, c_openat2 } from './syscalls.ts';

export const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;
const O_DIRECTORY = constants.O_DIRECTORY;

/** How openat2(2) may walk. */
const RESOLVE = { NO_MAGICLINKS: 0x02, NO_SYMLINKS: 0x04, IN_ROOT: 0x10 } as const;

/** A rename or mount somewhere on the way makes openat2 say EAGAIN; that often is no accident any more. */
const MAX_TRIES = 128;
/** As many symbolic links in a row as the kernel follows. */
const MAX_LINKS = 40;

export interface OpenOptions {
  /** Beside O_CLOEXEC. Default: O_PATH, which opens nothing and only holds the place. */
  flags?: number;
  /** Refuse symbolic links on the way, instead of following them inside the root. */
  noSymlinks?: boolean;
}

/**
 * Opens a path as a process with the root `rootFd` would: `..` and absolute links stay inside, whatever the other side does to
 * its directories meanwhile. The image writes these links; a runtime that resolves them itself, step by step, is led out.
 * Source: openat2(2), RESOLVE_IN_ROOT.
 * @throws SyscallError ENOENT, ELOOP (a link with `noSymlinks`, or a magic link), ENOTDIR, EAGAIN (someone keeps renaming)
 */
export function openInRoot(
  rootFd: number,
  path: string,
  { flags = O_PATH, noSymlinks = false }: OpenOptions = {},
): number {
  //#gap 05.2 openInRoot
  const how = Buffer.alloc(24); // struct open_how: flags, mode, resolve
  how.writeBigUInt64LE(BigInt(flags | O_CLOEXEC));
  const resolve = RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS | (noSymlinks ? RESOLVE.NO_SYMLINKS : 0);
  how.writeBigUInt64LE(BigInt(resolve), 16);
  for (let tries = 1; ; tries++) {
    try {
      return checked('openat2', c_openat2(rootFd, path === '' ? '.' : path, how), JSON.stringify(path));
    } catch (error) {
      if (tries === MAX_TRIES || !isErrno(error, 'EAGAIN')) throw error;
    }
  }
  //#end
}

/** As openInRoot; `undefined` when there is nothing. */
export function openInRootIfThere(rootFd: number, path: string, options?: OpenOptions): number | undefined {
  try {
    return openInRoot(rootFd, path, options);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** The path by which any call reaches what a descriptor holds, without walking anywhere: a magic link. */
export const fdPath = (fd: number, name?: string): string =>
  name === undefined ? `/proc/self/fd/${fd}` : `/proc/self/fd/${fd}/${name}`;

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
    mkdirSync(fdPath(parent, base), { mode });
    return openInRoot(parent, base, { flags: O_PATH | O_DIRECTORY, noSymlinks: true });
  } catch (error) {
    if (!isErrno(error, 'EEXIST') || links === MAX_LINKS) throw error;
    const target = readlinkIfLink(parent, base);
    if (target === undefined) return openInRoot(rootFd, clean, { flags: O_PATH | O_DIRECTORY });
    return mkdirAllInRoot(rootFd, posix.resolve(dir, target), mode, links + 1);
  } finally {
    closeSync(parent);
  }
}

/** Makes an empty file inside a root if nothing is there, and opens what is (O_PATH). */
export function touchInRoot(rootFd: number, path: string): number {
  const there = openInRootIfThere(rootFd, path);
  if (there !== undefined) return there;
  const { dir, base } = posix.parse(posix.normalize(`/${path}`));
  const parent = mkdirAllInRoot(rootFd, dir);
  try {
    closeSync(
      openSync(fdPath(parent, base), constants.O_CREAT | constants.O_NOFOLLOW | constants.O_WRONLY, 0o644),
    );
    return openInRoot(parent, base, { noSymlinks: true });
  } catch (error) {
    const target = isErrno(error, 'ELOOP') ? readlinkIfLink(parent, base) : undefined;
    if (target === undefined) throw error;
    return touchInRoot(rootFd, posix.resolve(dir, target));
  } finally {
    closeSync(parent);
  }
}

/** Runs `use` with a descriptor, and closes it whatever happens. */
export function using<T>(fd: number, use: (fd: number) => T): T {
  try {
    return use(fd);
  } finally {
    closeSync(fd);
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

/** Hangs a tree that openTree gave onto what a descriptor holds. Source: move_mount(2). @throws SyscallError */
export function attach(tree: number, target: number): void {
  checked('move_mount', c_move_mount(tree, target), `onto ${readlinkSync(fdPath(target))}`);
}
