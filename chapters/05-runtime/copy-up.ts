import {
  chmodSync,
  constants,
  copyFileSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { fdPath } from '../02-namespaces/index.ts';

/**
 * `tmpcopyup`: fills a fresh tmpfs with what the image has at its place. Directories, files and links, with owner and mode; links are
 * copied as they are and never followed.
 * @param from descriptor of the directory that is covered
 * @param to descriptor of the tmpfs
 */
export function copyUp(from: number, to: number): void {
  copyEntries(fdPath(from), fdPath(to));
}

function copyEntries(from: string, to: string): void {
  for (const name of readdirSync(from)) {
    const source = join(from, name);
    const copy = join(to, name);
    const stat = lstatSync(source);
    if (stat.isSymbolicLink()) symlinkSync(readlinkSync(source), copy);
    else if (stat.isDirectory()) {
      mkdirSync(copy);
      copyEntries(source, copy);
    } else if (stat.isFile()) copyFileSync(source, copy, constants.COPYFILE_EXCL);
    else continue; // a device, fifo or socket: nothing that belongs into a tmpfs of files
    lchownSync(copy, stat.uid, stat.gid);
    if (!stat.isSymbolicLink()) chmodSync(copy, stat.mode & 0o7777);
  }
}
