import { setTimeout as sleep } from 'node:timers/promises';
import { openCgroup } from '../03-cgroups/index.ts';
import { isGrpcError, readJournal, type Input } from '../06-shim-containerd/index.ts';
import { isApiError } from './api-error.ts';
import { cgroupOf, removeEmptyParent } from './cgroup-parent.ts';
import { tell } from './container-events.ts';
import { isRunning, now, rfc3339, type ContainerRecord } from './container.ts';
import type { Daemon } from './daemon.ts';
import { log } from './log.ts';
import { removeContainer } from './remove-container.ts';
import { planRestart } from './restart-policy.ts';
import { removeStdin } from './stdin.ts';

/** A process's end as containerd tells it. */
export interface Exit {
  exitStatus: number;
  exitedAt: Input<{ seconds: number; nanos: number }> | null;
}

/** The output of a process that has ended is complete after so many milliseconds, or somebody else holds it open. */
const OUTPUT_LIMIT = 2000;
/** Clients that are attached get so many milliseconds to read the rest before the container is removed. */
const READERS_LIMIT = 10_000;

/**
 * Puts a container in order whose process has ended, however that came to be known: takes the task's status and the task away, waits for the rest
 * of the output, gives the address back, tells those who wait. Then the container is removed (`--rm`) or started again, as its
 * configuration says. Nothing happens if another call was first.
 * @param exit what an event said; undefined: containerd is asked
 */
export async function settle(daemon: Daemon, record: ContainerRecord, exit?: Exit): Promise<void> {
  const run = daemon.runs.of(record);
  const settled = await run.serially(async () => {
    if (!isRunning(record) || record.state.status === 'restarting') return false;
    await settleSerially(daemon, record, exit);
    return true;
  });
  if (!settled) return;
  const { exitCode } = record.state;
  if (record.hostConfig.AutoRemove) {
    run.ended({ exitCode, error: '' });
    await run.detached(READERS_LIMIT);
    await removeContainer(daemon, record, { force: true, volumes: true }).catch((error: unknown) => {
      // Somebody is removing it already.
      if (!isApiError(error, 409)) throw error;
    });
  } else {
    planRestart(daemon, record);
    run.ended({ exitCode, error: '' });
  }
}

async function settleSerially(
  daemon: Daemon,
  record: ContainerRecord,
  told: Exit | undefined,
): Promise<void> {
  const { containerd, containers, network } = daemon;
  const { id, state } = record;
  state.oomKilled ||= oomKilled(id);
  let exit = told;
  try {
    exit = await containerd.tasks.delete({ containerId: id }, { timeout: 30_000 });
  } catch (error) {
    // Its shim was killed, or containerd was started anew without it: the event is all there is.
    if (!isGrpcError(error, 'NotFound')) log('warn', `deleting the task of ${id}`, error);
  }
  await outputEnded(containers.journal(id), state.journalStart, record.config.Tty ? 1 : 2);
  removeStdin(daemon, record);
  if (record.endpoint) network.release(record.endpoint);
  record.endpoint = null;
  daemon.execs.forget(id);
  Object.assign(state, {
    status: 'exited',
    pid: 0,
    // Nobody knows how it ended: Docker says 255.
    exitCode: exit?.exitStatus ?? 255,
    finishedAt: moment(exit) ?? now(),
  });
  removeEmptyParent(daemon);
  await containers.save(record);
  if (state.oomKilled) tell(daemon, record, 'oom');
  tell(daemon, record, 'die', { exitCode: String(state.exitCode) });
}

/** Whether the kernel has killed one of its processes for want of memory. With the task its cgroup goes, and who counted. */
function oomKilled(id: string): boolean {
  try {
    return openCgroup(cgroupOf(id)).stats().memory.oomKills > 0;
  } catch {
    return false; // gone already; an event may have told
  }
}

/** Waits until the journal says that the run's streams have ended. */
async function outputEnded(journal: string, from: number, streams: number): Promise<void> {
  const limit = new AbortController();
  const timer = sleep(OUTPUT_LIMIT, undefined, { signal: limit.signal }).then(
    () => limit.abort(),
    () => undefined,
  );
  const open = new Set(streams === 1 ? [1] : [1, 2]);
  for await (const { stream, data } of readJournal(journal, { from, follow: true, signal: limit.signal })) {
    if (data.length === 0) open.delete(stream);
    if (open.size === 0) break;
  }
  limit.abort();
  await timer;
}

/** Go's zero time says that it is not known. */
function moment(exit: Exit | undefined): string | undefined {
  const { seconds = 0, nanos = 0 } = exit?.exitedAt ?? {};
  return seconds > 0 ? rfc3339(BigInt(seconds) * 1_000_000_000n + BigInt(nanos)) : undefined;
}
