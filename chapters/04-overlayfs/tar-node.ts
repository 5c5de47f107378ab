import {
  chmodSync,
  closeSync,
  constants,
  ftruncateSync,
  lchownSync,
  linkSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { checked, isErrno } from '../01-processes/index.ts';
import { invalidArgument } from './errors.ts';
import { cPath, fsPath } from './file-names.ts';
import type { Part } from './sparse.ts';
import { c_mknod, c_utimensat } from './syscalls.ts';
import type { TarHeader } from './tar-header.ts';
import { isReserved, setXattr } from './xattr.ts';

const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;
const S_IFIFO = 0o010000;

/**
 * Makes what an entry of a tar describes, at a path where nothing is and whose parent is known to be inside the layer. Readable
 * by nobody but root until `setMetadata` has been called.
 * @throws SyscallError; StoreError INVALID_ARGUMENT for a device that is overlayfs' mark of a deletion
 */
export async function makeNode(path: string, header: TarHeader, parts: AsyncIterable<Part>): Promise<void> {
  switch (header.type) {
    case 'directory':
      return mkdirSync(fsPath(path), 0o700);
    case 'symlink':
      return symlinkSync(fsPath(header.linkname), fsPath(path));
    case 'link':
      return linkSync(fsPath(header.linkname), fsPath(path));
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
      return writeFile(path, header.size, parts);
  }
}

/**
 * Writes a file's bytes. Whole blocks of zeros are left out, and so become holes: a file that was sparse is so again, however the tar
 * spelled it, and takes no more room than it did.
 */
async function writeFile(path: string, size: number, parts: AsyncIterable<Part>): Promise<void> {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const fd = openSync(fsPath(path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    for await (const part of parts)
      for (const { at, bytes } of withoutZeros(part))
        for (let from = 0; from < bytes.length;)
          from += writeSync(fd, bytes, from, bytes.length - from, at + from);
    ftruncateSync(fd, size);
  } finally {
    closeSync(fd);
  }
}

/** The unit in which filesystems leave room out, and what is seen of it when nothing was written. */
const ZEROS = Buffer.alloc(4096);

/** What of a part has to be written, cut where the file's blocks begin. */
function* withoutZeros({ at, bytes }: Part): Generator<Part> {
  const first = ZEROS.length - (at % ZEROS.length);
  let from = 0;
  for (let begin = 0; begin < bytes.length;) {
    const end = Math.min(begin === 0 ? first : begin + ZEROS.length, bytes.length);
    if (bytes[begin] === 0 && bytes.subarray(begin, end).equals(ZEROS.subarray(0, end - begin))) {
      if (from < begin) yield { at: at + from, bytes: bytes.subarray(from, begin) };
      from = end;
    }
    begin = end;
  }
  if (from < bytes.length) yield { at: at + from, bytes: bytes.subarray(from) };
}

function makeSpecial(path: string, kind: number, device: bigint): void {
  checked('mknod', c_mknod(cPath(path), kind | 0o600, Number(device)), JSON.stringify(path));
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
 * file capabilities. What would speak to overlayfs itself is left out, as is what the filesystem has no room for;
 * both are noted in `ignored`.
 */
export function setMetadata(path: string, header: TarHeader, ignored: string[]): void {
  lchownSync(fsPath(path), header.uid, header.gid);
  if (header.type !== 'symlink') chmodSync(fsPath(path), header.mode);
  for (const [name, value] of header.xattrs)
    try {
      if (isReserved(name)) ignored.push(`${name} of ${JSON.stringify(header.name)}`);
      else setXattr(path, name, value);
    } catch (error) {
      if (!isErrno(error, 'ENOTSUP')) throw error;
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
  checked('utimensat', c_utimensat(AT_FDCWD, cPath(path), times, AT_SYMLINK_NOFOLLOW), JSON.stringify(path));
}
