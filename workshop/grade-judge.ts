import childProcess from 'node:child_process';
import fs from 'node:fs';
import { judge, type Load } from './judge.ts';

/**
 * Judges one gap for `npm run grade`, where the code is not trusted: `TREE GAP SEED`. The first line of standard input is a word that nobody
 * else knows. It has been read, and the pipe is at its end, before any of the learner's code is loaded; what descriptor 3 carries
 * counts only with this word, once, and only if the process ends with the status that goes with it.
 */
export async function judgeGap(load: Load): Promise<never> {
  const [tree = '', gap = '', seed = ''] = process.argv.slice(2);
  process.execArgv.push('--import', import.meta.resolve('tsx'));
  const seal = fs.readFileSync(0, 'utf8').trim();
  fs.closeSync(0);
  fs.openSync('/dev/null', 'r'); // descriptor 0 again: nothing else may become it
  const exit = (process as unknown as { reallyExit(status: number): never }).reallyExit.bind(process);
  const { writeSync } = fs;
  const { stringify } = JSON;

  // What the checks look at the machine with cannot be exchanged for something that lies.
  for (const tool of [fs, fs.promises, childProcess, JSON, Object, Reflect, Math, Array.prototype])
    Object.freeze(tool);

  const verdict = await judge(load, { tree, gap, seed: Number(seed) });
  writeSync(3, `${seal} ${stringify(verdict)}\n`);
  return exit(statusOf(seal));
}

/** 64 to 127, from the seal. */
function statusOf(word: string): number {
  return 64 + (parseInt(word.slice(0, 2), 16) % 64);
}
