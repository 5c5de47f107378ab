import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno, readStat } from '../chapters/01-processes/index.ts';
import { Refused } from './learner.ts';

/**
 * Keeps a second check, and whatever changes gaps, out of a tree while a check runs. The lock says who holds it, by number and start
 * time, which together name one process for ever; one whose holder is gone does not count.
 * @throws Refused
 */
export function lockTree(tree: string): Disposable {
  const path = join(tree, '.check.lock');
  const me = `${process.pid} ${readStat(process.pid)!.startTime}`;
  for (;;) {
    try {
      writeFileSync(path, me, { flag: 'wx' });
      return { [Symbol.dispose]: () => rmSync(path, { force: true }) };
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
    }
    const holder = holderOf(path);
    if (holder !== undefined)
      throw new Refused(`another check runs in this tree (process ${holder}): wait for it, or end it`);
    rmSync(path, { force: true });
  }
}

/** Who holds a lock; undefined when they are gone. A lock that says nothing yet is being written. */
function holderOf(path: string): number | 'that begins' | undefined {
  try {
    const [pid, startTime] = readFileSync(path, 'utf8').split(' ').map(Number);
    if (!pid) return Date.now() - statSync(path).mtimeMs < 5000 ? 'that begins' : undefined;
    const holder = readStat(pid);
    return holder && holder.startTime === startTime ? pid : undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined; // it was given back meanwhile
    throw error;
  }
}
