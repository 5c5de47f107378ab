import { execFileSync } from 'node:child_process';
import { writeSync } from 'node:fs';
import { isErrno } from '../01-processes/index.ts';
import { openContainer } from './container.ts';
import type { Run } from './verbs.ts';

/** `ps`: the container's processes, of its cgroup, with the host's ids: ps(1)'s own lines, or a JSON list of ids. */
export const run: Run = (context, { format = 'table' }, [id, ...words]) => {
  const { cgroup } = openContainer(context, id!);
  const pids = cgroup.exists() ? cgroup.pids() : [];
  if (format === 'json') return void writeSync(1, `${JSON.stringify(pids)}\n`);
  if (format !== 'table')
    throw new Error(`invalid format option ${JSON.stringify(format)}: table and json are allowed`);
  const [head = '', ...lines] = hostProcesses(words.length > 0 ? words : ['-ef']);
  const column = head.trim().split(/\s+/).indexOf('PID');
  if (column === -1) throw new Error("couldn't find PID field in ps output: let its options show it");
  const ofContainer = lines.filter((line) => pids.includes(Number(line.trim().split(/\s+/)[column])));
  writeSync(1, `${[head, ...ofContainer].join('\n')}\n`);
};

function hostProcesses(options: string[]): string[] {
  try {
    return execFileSync('ps', options, { encoding: 'utf8' }).split('\n').filter(Boolean);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
    throw new Error('there is no ps on this machine: install the package procps, or use --format json', {
      cause: undefined,
    });
  }
}
