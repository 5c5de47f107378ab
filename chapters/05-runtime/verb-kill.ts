import { isErrno, kill, signalNumber } from '../01-processes/index.ts';
import { openContainer } from './container.ts';
import type { Run } from './verbs.ts';

/**
 * `kill`: a signal to the first process, or to all. For a container that has stopped it is an error, but not with --all: there may be
 * processes left where the pid namespace is shared.
 */
export const run: Run = (context, options, [id, signal = 'TERM']) => {
  const number = parseSignal(signal);
  const { state, cgroup, status } = openContainer(context, id!);
  const stopped = status() === 'stopped';
  if (options.all) {
    for (const pid of cgroup.exists() ? cgroup.pids() : []) send(pid, number);
    return;
  }
  if (stopped) throw new Error('container not running');
  kill(state.pid, number);
};

function send(pid: number, signal: number): void {
  try {
    kill(pid, signal);
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error;
  }
}

/** @throws Error in runc's words */
function parseSignal(signal: string): number {
  if (signal === '0') return 0; // whether anyone is there to be signalled. kill(2)
  try {
    return signalNumber(signal);
  } catch (cause) {
    throw new Error(`unknown signal ${JSON.stringify(signal)}`, { cause });
  }
}
