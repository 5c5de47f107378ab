import { basename } from 'node:path';
import { processTree, subtree, type ProcessNode } from './tree.ts';

/**
 * The trees that the command line asks for: of one process and those below it, or `byDefault`, or all. Ends the program where the
 * arguments are wrong (status 2) or the process is not there (status 1).
 */
export function treesToDraw(byDefault?: number): ProcessNode[] {
  const [first, ...more] = process.argv.slice(2);
  const fail = (status: number, text: string): never => {
    process.stderr.write(`${text}\n`);
    process.exit(status);
  };
  const usage = `usage: npx tsx ${basename(process.argv[1]!)} [PID]`;
  if (first === '--help' || first === '-h') fail(0, usage);
  if (more.length > 0 || (first !== undefined && !/^[1-9]\d*$/.test(first)))
    fail(2, `not a process id: ${JSON.stringify([first, ...more].join(' '))}\n${usage}`);
  const pid = first === undefined ? byDefault : Number(first);
  const trees = processTree();
  if (pid === undefined) return trees;
  return [subtree(trees, pid) ?? fail(1, `there is no process ${pid}`)];
}
