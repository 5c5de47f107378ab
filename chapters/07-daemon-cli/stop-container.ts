import { setTimeout as sleep } from 'node:timers/promises';
import { SIGNALS } from '../01-processes/index.ts';
import { isGrpcError } from '../06-shim-containerd/index.ts';
import { conflict, notModified } from './api-error.ts';
import { checkSignal } from './container-config.ts';
import { tell } from './container-events.ts';
import { isRunning, type ContainerRecord } from './container.ts';
import type { Daemon } from './daemon.ts';

/** Docker's patience. Seconds. */
const GRACE = 10;

/**
 * Ends a container: asks with its stop signal, waits, and kills what is still there.
 * @param seconds how long to wait; below zero: for ever; undefined: as the container's configuration says
 * @throws ApiError 304 when it does not run, 400 for an unknown signal
 */
export async function stopContainer(
  daemon: Daemon,
  record: ContainerRecord,
  { seconds, signal }: { seconds?: number | undefined; signal?: string | undefined } = {},
): Promise<void> {
  const run = daemon.runs.of(record);
  const asked = checkSignal(signal || record.config.StopSignal || 'SIGTERM');
  // A start that is under way is waited for, and would forget what was said before its end.
  await run.serially(async () => void (record.state.stoppedByHand = true));
  run.cancelRestart?.();
  if (!isRunning(record)) {
    await daemon.containers.save(record);
    throw notModified();
  }
  const grace = seconds ?? record.config.StopTimeout ?? GRACE;
  //#gap 07.5 stop
  // Before the signal, so that an end which follows at once is not missed.
  const ended = run.nextEnd();
  await signalContainer(daemon, record, asked);
  if (!(await within(grace, ended))) {
    await signalContainer(daemon, record, SIGNALS['SIGKILL']!);
    await ended;
  }
  //#end
  tell(daemon, record, 'stop');
}

/** Whether something came about within so many seconds; below zero there is no limit. */
async function within(seconds: number, event: Promise<unknown>): Promise<boolean> {
  const timer = new AbortController();
  const limit = seconds < 0 ? new Promise<never>(() => undefined) : sleep(seconds * 1000, false, timer);
  try {
    return await Promise.race([event.then(() => true), limit]);
  } finally {
    timer.abort();
  }
}

/**
 * Sends a signal to a container's first process. SIGKILL reaches the others too: the kernel ends a pid namespace with its first process.
 * @throws ApiError 409 when it does not run
 */
export async function killContainer(
  daemon: Daemon,
  record: ContainerRecord,
  signal: string | undefined,
): Promise<void> {
  const number = checkSignal(signal || 'SIGKILL');
  const run = daemon.runs.of(record);
  await run.settled();
  if (!isRunning(record) || record.state.pid === 0)
    throw conflict(`cannot kill container: ${record.name}: container ${record.id} is not running`);
  const stops = [SIGNALS['SIGKILL'], checkSignal(record.config.StopSignal || 'SIGTERM')];
  if (stops.includes(number)) record.state.stoppedByHand = true;
  // The client expects "kill" to mean dead: SIGKILL is waited for.
  const ended = run.nextEnd();
  await signalContainer(daemon, record, number);
  if (number === SIGNALS['SIGKILL']) await within(GRACE, ended);
}

/** Sends a signal through containerd and the shim. Whoever has ended meanwhile does not mind. */
export async function signalContainer(
  daemon: Daemon,
  record: ContainerRecord,
  signal: number,
): Promise<void> {
  const { containerd } = daemon;
  try {
    await containerd.tasks.kill({
      containerId: record.id,
      signal,
      // With the host's pid namespace nobody dies with the first process.
      all: signal === SIGNALS['SIGKILL'] && record.hostConfig.PidMode !== '',
    });
  } catch (error) {
    if (!isGrpcError(error, 'NotFound', 'FailedPrecondition')) throw error;
    return daemon.look(record);
  }
  tell(daemon, record, 'kill', { signal: String(signal) });
  if (signal === SIGNALS['SIGKILL'] && record.state.status === 'paused') {
    // A frozen process does not die before it thaws.
    await containerd.tasks.resume({ containerId: record.id });
  }
}
