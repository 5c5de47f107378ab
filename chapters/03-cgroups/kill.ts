import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno, kill, SIGNALS } from '../01-processes/index.ts';
import { writeControl } from './control-file.ts';
import { until } from './folders.ts';

/**
 * Ends every process of a cgroup, and returns when none is left. In the tree of v2 the kernel does it at one blow
 * (`cgroup.kill`, since Linux 5.14). Elsewhere they are frozen first, so that none can fork while the others are being
 * killed; a frozen process dies when it is thawed.
 * @param how.unified the cgroup's folder in the tree of v2
 * @throws Error that names the processes that are still there after ten seconds
 */
export function killAll(
  path: string,
  how: { pids: () => number[]; unified?: string | undefined; freeze?: ((on: boolean) => void) | undefined },
): void {
  const { pids, freeze } = how;
  const atOneBlow = how.unified && join(how.unified, 'cgroup.kill');
  //#gap 03.5 killAll
  const gone = until(() => {
    if (atOneBlow && existsSync(atOneBlow)) writeControl(atOneBlow, '1');
    const left = pids();
    if (left.length === 0) return true;
    // Whether all froze or not: what is left then is found at the next round.
    ignoring(() => freeze?.(true));
    for (const pid of left) ignoring(() => kill(pid, SIGNALS['SIGKILL']!), 'ESRCH');
    ignoring(() => freeze?.(false));
    return pids().length === 0;
  }, 10_000);
  if (!gone) throw new Error(`${path} still has processes, though they were killed: ${pids().join(', ')}`);
  //#end
}

function ignoring(action: () => void, ...codes: string[]): void {
  try {
    action();
  } catch (error) {
    if (codes.length > 0 && !isErrno(error, ...codes)) throw error;
  }
}
