import {
  chmodSync,
  closeSync,
  constants,
  lchownSync,
  linkSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { checked, isErrno } from '../01-processes/index.ts';
import { invalidArgument } from './errors.ts';
import { c_mknod, c_utimensat } from './syscalls.ts';
import type { TarHeader } from './tar-header.ts';
import { setXattr } from './xattr.ts';

const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;
const S_IFIFO = 0o010000;

/**
 * Makes what an entry of a tar describes, at a path where nothing is and whose parent is known to be inside the layer. Readable
 * by nobody but root until `setMetadata` has been called.
 * @throws SyscallError; StoreError INVALID_ARGUMENT for a device that is overlayfs' mark of a deletion
 */
export async function makeNode(path: string, header: TarHeader, body: AsyncIterable<Buffer>): Promise<void> {
  switch (header.type) {
    case 'directory':
      return mkdirSync(path, 0o700);
    case 'symlink':
      return symlinkSync(header.linkname, path);
    case 'link':
      return linkSync(header.linkname, path);
    case 'fifo':
      return makeSpecial(path, S_IFIFO, 0n);
    case 'character-device':
    case 'block-device': {
      if (header.major === 0 && header.minor === 0)
        throw invalidArgument("a device 0/0, which is overlayfs' mark of a deletion: refused");
      const kind = header.type === 'block-device' ? S_IFBLK : S_IFCHR;
      return makeSpecial(path, kind, deviceNumber(header.major, header.minor));
    }
    case 'file':
      return writeFile(path, body);
  }
}

async function writeFile(path: string, body: AsyncIterable<Buffer>): Promise<void> {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const fd = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    for await (const piece of body)
      for (let at = 0; at < piece.length;) at += writeSync(fd, piece, at, piece.length - at);
  } finally {
    closeSync(fd);
  }
}

function makeSpecial(path: string, kind: number, device: bigint): void {
  checked('mknod', c_mknod(path, kind | 0o600, Number(device)), JSON.stringify(path));
}

/** A device's number in the C library's form. makedev(3). */
export function deviceNumber(major: number, minor: number): bigint {
  const [a, b] = [BigInt(major), BigInt(minor)];
  return ((a & 0xfffff000n) << 32n) | ((a & 0xfffn) << 8n) | ((b & 0xffffff00n) << 12n) | (b & 0xffn);
}

/** And back. */
export function deviceParts(device: number | bigint): { major: number; minor: number } {
  const d = BigInt(device);
  return {
    major: Number(((d >> 32n) & 0xfffff000n) | ((d >> 8n) & 0xfffn)),
    minor: Number(((d >> 12n) & 0xffffff00n) | (d & 0xffn)),
  };
}

/**
 * Gives a file the owner, mode, extended attributes and time that the tar says, in this order: chown(2) clears setuid bits and
 * file capabilities. `trusted.*` would speak to overlayfs itself and is left out, as is what the filesystem has no room for;
 * both are noted in `ignored`.
 */
export function setMetadata(path: string, header: TarHeader, ignored: string[]): void {
  lchownSync(path, header.uid, header.gid);
  if (header.type !== 'symlink') chmodSync(path, header.mode);
  for (const [name, value] of header.xattrs)
    try {
      if (name.startsWith('trusted.')) throw invalidArgument('reserved to the system');
      setXattr(path, name, value);
    } catch (error) {
      if (!name.startsWith('trusted.') && !isErrno(error, 'ENOTSUP')) throw error;
      ignored.push(`${name} of ${JSON.stringify(header.name)}`);
    }
  setTime(path, header.mtime);
}

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const NANOSECONDS = 1_000_000_000n;

/** Sets the times of access and change of content; of a symbolic link, its own. utimensat(2). */
export function setTime(path: string, mtime: bigint): void {
  // Nanoseconds count up from the second below, also before 1970.
  const nanoseconds = ((mtime % NANOSECONDS) + NANOSECONDS) % NANOSECONDS;
  const seconds = (mtime - nanoseconds) / NANOSECONDS;
  const times = new BigInt64Array([seconds, nanoseconds, seconds, nanoseconds]);
  checked('utimensat', c_utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), JSON.stringify(path));
}
