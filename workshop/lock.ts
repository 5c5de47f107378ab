import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, isErrno } from '../chapters/01-processes/index.ts';
import { Refused } from './learner.ts';

/** Keeps a second check out of a tree while one runs. A lock whose holder is gone does not count. @throws Refused */
export function lockTree(tree: string): Disposable {
  const path = join(tree, '.check.lock');
  for (;;) {
    try {
      writeFileSync(path, String(process.pid), { flag: 'wx' });
      return { [Symbol.dispose]: () => rmSync(path, { force: true }) };
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
    }
    const holder = Number(readFileSync(path, 'utf8'));
    if (holder > 0 && isAlive(holder))
      throw new Refused(`another check runs in this tree (process ${holder}): wait for it, or end it`);
    rmSync(path, { force: true });
  }
}
