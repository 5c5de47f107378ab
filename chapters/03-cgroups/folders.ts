import { mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { ifAlive, isErrno } from '../01-processes/index.ts';
import { readControl } from './control-file.ts';

/** Where paths begin that do not begin at the top of a tree: a folder, by the mount point of the tree that it is in. */
export type Below = Readonly<Record<string, string>>;

/**
 * The path of a cgroup as this chapter takes it, from the top of each tree: `/mydocker/4f2a…`. A leading slash may be left out.
 * @throws RangeError for a path that names the top itself, climbs, or has characters that the kernel refuses
 */
export function cgroupPath(path: string): string {
  const names = path.split('/').filter(Boolean);
  const problem = names.includes('..')
    ? 'it climbs'
    : names.includes('.')
      ? 'it has a name of one dot'
      : names.length === 0
        ? 'it names the top of the tree'
        : /[\n\0]/.test(path)
          ? 'it has a newline or a NUL'
          : names.some((name) => Buffer.byteLength(name) > 255)
            ? 'a name is longer than 255 bytes'
            : undefined;
  if (problem) throw new RangeError(`invalid cgroup path ${JSON.stringify(path)}: ${problem}`);
  return `/${names.join('/')}`;
}

/**
 * Makes the folder of a cgroup and those above it that are missing, from the top down, and calls `each` for every one on the way, new or not.
 * Returns the folders that were made, topmost first. If anything fails, those are gone again.
 */
export function makeFolders(top: string, path: string, each: (folder: string) => void): string[] {
  //#gap 03.2 makeFolders
  const made: string[] = [];
  let folder = top;
  try {
    for (const name of path.slice(1).split('/')) {
      folder = join(folder, name);
      try {
        mkdirSync(folder);
        made.push(folder);
      } catch (error) {
        if (!isErrno(error, 'EEXIST')) throw error;
      }
      each(folder);
    }
    return made;
  } catch (error) {
    removeFolders(made);
    throw error;
  }
  //#end
}

/** Takes away folders that were just made and are empty, the last first. */
export function removeFolders(made: readonly string[]): void {
  for (const folder of [...made].reverse()) rmdirIfThere(folder);
}

/** The folders below a cgroup's own, deepest first, and last itself. */
export function treeOf(folder: string): string[] {
  const children = ifAlive(() => readdirSync(folder, { withFileTypes: true })) ?? [];
  return [
    ...children.filter((entry) => entry.isDirectory()).flatMap((entry) => treeOf(join(folder, entry.name))),
    folder,
  ];
}

/** The processes in a cgroup and in those below it. Those of a pid namespace that this one does not see are left out: they read as 0. */
export function pidsIn(folder: string): number[] {
  return treeOf(folder).flatMap((each) => {
    try {
      return (readControl(join(each, 'cgroup.procs')) ?? '')
        .split('\n')
        .filter(Boolean)
        .map(Number)
        .filter((pid) => pid > 0);
    } catch (error) {
      // A threaded cgroup has threads only; their processes are listed above it.
      if (isErrno(error, 'EOPNOTSUPP')) return [];
      throw error;
    }
  });
}

/**
 * Removes a cgroup and those below it. The kernel takes an instant after the last process's end to let go, so "busy" is asked again for two seconds.
 * @throws SyscallError or Node's error EBUSY when there are processes in it
 */
export function removeTree(folder: string): void {
  for (let wait = 1; ; wait *= 2) {
    try {
      for (const each of treeOf(folder)) rmdirIfThere(each);
      return;
    } catch (error) {
      if (!isErrno(error, 'EBUSY', 'ENOTEMPTY') || wait > 1024 || pidsIn(folder).length > 0) throw error;
      sleep(wait);
    }
  }
}

function rmdirIfThere(folder: string): void {
  try {
    rmdirSync(folder);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}

/** Blocks this thread. Also in a forked child, where timers never come. */
export function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/** Asks until `holds`, for so many milliseconds; whether it did. */
export function until(holds: () => boolean, milliseconds: number): boolean {
  const end = performance.now() + milliseconds;
  for (let wait = 1; !holds(); wait = Math.min(wait * 2, 50)) {
    if (performance.now() > end) return false;
    sleep(wait);
  }
  return true;
}
