import { tell } from './container-events.ts';
import type { ContainerRecord } from './container.ts';
import type { Daemon } from './daemon.ts';
import { log } from './log.ts';
import { startContainer } from './start-container.ts';

/** The first pause before a restart, and the longest. Milliseconds. */
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 60_000;
/** Who ran so long has proved that it can: the pause is short again. Milliseconds. */
const PROVED = 10_000;

/** Whether a container that has ended is to be started again. */
export function wantsRestart({ hostConfig, state, restartCount }: ContainerRecord): boolean {
  const { Name, MaximumRetryCount } = hostConfig.RestartPolicy;
  if (state.stoppedByHand) return false;
  if (Name === 'always' || Name === 'unless-stopped') return true;
  return (
    Name === 'on-failure' &&
    state.exitCode !== 0 &&
    (MaximumRetryCount === 0 || restartCount < MaximumRetryCount)
  );
}

/** How long to wait: each time twice as long, until a run was long enough. Milliseconds. */
export function restartPause({
  restartCount,
  state,
}: Pick<ContainerRecord, 'restartCount' | 'state'>): number {
  const ran = Date.parse(state.finishedAt) - Date.parse(state.startedAt);
  return ran > PROVED ? FIRST_PAUSE : Math.min(FIRST_PAUSE * 2 ** restartCount, LONGEST_PAUSE);
}

/** Plans the next start of a container that has just ended, if its policy wants one. Meanwhile it is "restarting". */
export function planRestart(daemon: Daemon, record: ContainerRecord): void {
  if (!wantsRestart(record)) return;
  const run = daemon.runs.of(record);
  record.state.status = 'restarting';
  const timer = setTimeout(() => {
    run.cancelRestart = undefined;
    record.restartCount++;
    tell(daemon, record, 'restart');
    startContainer(daemon, record).catch((error: unknown) => log('warn', `restarting ${record.id}`, error));
  }, restartPause(record));
  run.cancelRestart = () => {
    clearTimeout(timer);
    run.cancelRestart = undefined;
    record.state.status = 'exited';
  };
}
