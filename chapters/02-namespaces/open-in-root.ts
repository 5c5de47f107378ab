import { checked, isErrno } from '../01-processes/index.ts';
import { c_openat2, SYS } from './syscalls.ts';

/** Opens nothing, and only holds the place: no right to read is needed, no device or fifo wakes up. open(2). */
export const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;

/** How openat2(2) may walk. */
const RESOLVE = { NO_XDEV: 0x01, NO_MAGICLINKS: 0x02, NO_SYMLINKS: 0x04, IN_ROOT: 0x10 } as const;

/** A rename or mount somewhere on the way makes openat2 say EAGAIN; that often is no accident any more. */
const MAX_TRIES = 128;

export interface OpenOptions {
  /** Beside O_CLOEXEC. Default: O_PATH. No file is made. */
  flags?: number;
  /** Refuse symbolic links on the way, instead of following them inside the root. */
  noSymlinks?: boolean;
  /** Refuse to walk into another mount (EXDEV): what is opened is of the very filesystem that `rootFd` is of. */
  sameMount?: boolean;
}

/**
 * Opens a path as a process with the root `rootFd` would: `..` and absolute links stay inside, whatever the other side does to
 * its directories meanwhile. The image writes these links; who resolves them himself, step by step, is led out. To be closed.
 * Source: openat2(2), RESOLVE_IN_ROOT, Linux 5.6.
 * @param path as bytes where it is not UTF-8
 * @throws SyscallError ENOENT, ELOOP (a link with `noSymlinks`, or a magic link), ENOTDIR, EXDEV (another mount with
 * `sameMount`), EAGAIN (someone keeps renaming)
 */
export function openInRoot(
  rootFd: number,
  path: string | Buffer,
  { flags = O_PATH, noSymlinks = false, sameMount = false }: OpenOptions = {},
): number {
  //#region openInRoot
  const resolve =
    RESOLVE.IN_ROOT |
    RESOLVE.NO_MAGICLINKS |
    (noSymlinks ? RESOLVE.NO_SYMLINKS : 0) |
    (sameMount ? RESOLVE.NO_XDEV : 0);
  for (let tries = 1; ; tries++) {
    try {
      return openat2(rootFd, path.length === 0 ? '.' : path, flags | O_CLOEXEC, resolve);
    } catch (error) {
      // Someone renamed on the way, so that the kernel could not be sure: ask again.
      if (tries === MAX_TRIES || !isErrno(error, 'EAGAIN')) throw error;
    }
  }
  //#endregion
}

/** As openInRoot; `undefined` when there is nothing. */
export function openInRootIfThere(
  rootFd: number,
  path: string | Buffer,
  options?: OpenOptions,
): number | undefined {
  try {
    return openInRoot(rootFd, path, options);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/**
 * Opens a path that begins at a directory, and may lead anywhere: for one's own paths, /proc held as a descriptor say.
 * Source: openat(2).
 * @param flags O_CLOEXEC too, if the descriptor is to end with this program
 * @throws SyscallError
 */
export const openAt = (dirFd: number, path: string, flags: number): number => openat2(dirFd, path, flags, 0);

/** The path by which any call reaches what a descriptor holds, or a name in it, without walking anywhere: a magic link. */
export const fdPath = (fd: number, name?: string): string =>
  name === undefined ? `/proc/self/fd/${fd}` : `/proc/self/fd/${fd}/${name}`;

function openat2(dirFd: number, path: string | Buffer, flags: number, resolve: number): number {
  const how = Buffer.alloc(24); // struct open_how: flags, mode, resolve. No file is made, so the mode is 0.
  how.writeBigUInt64LE(BigInt(flags));
  how.writeBigUInt64LE(BigInt(resolve), 16);
  const name = typeof path === 'string' ? path : Buffer.concat([path, Buffer.of(0)]);
  return Number(
    checked('openat2', c_openat2(SYS.openat2, dirFd, name, how, how.length), JSON.stringify(String(path))),
  );
}
