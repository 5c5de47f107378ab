import { lstatSync, mkdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join, posix } from 'node:path';
import { isErrno } from '../01-processes/index.ts';

/**
 * Where `path` leads for a process whose root is `root`: links are followed as that process would follow them, and none leads out.
 * What does not exist is taken as written. The tree must not change meanwhile, so only for a container that does not run, or for
 * what is only read.
 */
export function resolveInRoot(root: string, path: string): string {
  let todo = path.split('/').filter(Boolean);
  let at = '/';
  for (let links = 0; todo.length > 0;) {
    const [name, ...rest] = todo as [string, ...string[]];
    todo = rest;
    if (name === '.') continue;
    if (name === '..') {
      at = posix.dirname(at);
      continue;
    }
    const next = posix.join(at, name);
    const target = linkTarget(join(root, next));
    if (target === undefined) {
      at = next;
      continue;
    }
    if (++links > 40) throw new Error(`${path}: too many levels of symbolic links`);
    if (target.startsWith('/')) at = '/';
    todo = [...target.split('/').filter(Boolean), ...todo];
  }
  return join(root, at);
}

function linkTarget(path: string): string | undefined {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** A file's text, or nothing where there is no such file. */
export function readInRoot(root: string, path: string): string {
  const real = resolveInRoot(root, path);
  try {
    // A fifo or a device in its place would hold up the daemon, or worse.
    return lstatSync(real).isFile() ? readFileSync(real, 'utf8') : '';
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return '';
    throw error;
  }
}

/** Makes a directory and those above it, where they are not there yet. @throws Error ENOTDIR, EEXIST when a file is in the way */
export function makeDirectoryInRoot(root: string, path: string): void {
  mkdirSync(resolveInRoot(root, path), { recursive: true });
}
