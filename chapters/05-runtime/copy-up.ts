import {
  chmodSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { isErrno } from '../01-processes/index.ts';
import { fdPath, openInRoot } from '../02-namespaces/index.ts';
import { using } from './attach.ts';

/**
 * `tmpcopyup`: fills a fresh tmpfs with what the image has at its place. Directories, files and links, with owner and mode; links are
 * copied as they are and never followed. Each thing is opened once, by its name in a directory that is open already: who exchanges one for a
 * link meanwhile gets a link, or nothing, and never a file of the host (CVE-2021-30465 was such a race).
 * @param from descriptor of the directory that is covered
 * @param to descriptor of the tmpfs
 */
export function copyUp(from: number, to: number): void {
  for (const name of readdirSync(fdPath(from))) {
    if (copyLink(from, to, name)) continue;
    const source = openEntry(from, name);
    if (source !== undefined) using(source, () => copyEntry(source, to, name));
  }
}

/** O_NONBLOCK: a fifo must not hold this process up. */
const READ = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;

/** Undefined for what cannot be opened so: a link that was not one a moment ago, a socket, a device without driver; or nothing. */
function openEntry(from: number, name: string): number | undefined {
  try {
    return openInRoot(from, name, { flags: READ, noSymlinks: true });
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ELOOP', 'ENXIO', 'ENODEV')) return undefined;
    throw error;
  }
}

function copyEntry(source: number, to: number, name: string): void {
  const stat = fstatSync(source);
  const copy = fdPath(to, name);
  if (stat.isDirectory()) {
    mkdirSync(copy);
    using(openSync(copy, constants.O_RDONLY | constants.O_DIRECTORY), (directory) =>
      copyUp(source, directory),
    );
    lchownSync(copy, stat.uid, stat.gid);
    chmodSync(copy, stat.mode & 0o7777);
  } else if (stat.isFile()) {
    const file = openSync(copy, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    using(file, () => {
      copyBytes(source, file);
      fchownSync(file, stat.uid, stat.gid);
      fchmodSync(file, stat.mode & 0o7777);
    });
  } // a device, fifo or socket: nothing that belongs into a tmpfs of files
}

function copyBytes(from: number, to: number): void {
  const chunk = Buffer.alloc(64 * 1024);
  for (;;) {
    const count = readSync(from, chunk);
    if (count === 0) return;
    for (let done = 0; done < count;) done += writeSync(to, chunk, done, count - done);
  }
}

/** Copies a link, and says whether there was one. */
function copyLink(from: number, to: number, name: string): boolean {
  try {
    const target = readlinkSync(fdPath(from, name));
    symlinkSync(target, fdPath(to, name));
    const { uid, gid } = lstatSync(fdPath(from, name));
    lchownSync(fdPath(to, name), uid, gid);
    return true;
  } catch (error) {
    if (isErrno(error, 'EINVAL', 'ENOENT')) return false;
    throw error;
  }
}
