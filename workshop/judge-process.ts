import { openSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { judge, type Load } from './judge.ts';

/** In the folder of a check: the words that it has drawn, a line each. */
export const WORDS = '.words';

/**
 * Judges one gap as a process: `TREE GAP SEED`, started by check.ts, single-threaded, in namespaces of its own. The verdict is written as
 * JSON to descriptor 3, so that nothing that the learner's code prints can be taken for it.
 */
export async function judgeGap(load: Load): Promise<never> {
  const [tree = '', gap = '', seed = ''] = process.argv.slice(2);
  // A check that starts a program of the tree starts it with these flags: it reads TypeScript.
  process.execArgv.push('--import', import.meta.resolve('tsx'));
  const words = openSync(join(tmpdir(), WORDS), 'a');
  const verdict = await judge(load, {
    tree,
    gap,
    seed: Number(seed),
    onWord: (word) => void writeSync(words, `${word}\n`),
  });
  writeSync(3, JSON.stringify(verdict));
  process.exit(0);
}
