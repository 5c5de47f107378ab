import { setTimeout as sleep } from 'node:timers/promises';
import { decodeEvent, isGrpcError, type EventEnvelope, type Process } from '../06-shim-containerd/index.ts';
import { isRunning, type ContainerRecord } from './container.ts';
import { OWNER_LABEL } from './create-container.ts';
import type { Daemon } from './daemon.ts';
import { ownerOfLayer, removeLayers } from './init-layer.ts';
import { log } from './log.ts';
import { removeContainer } from './remove-container.ts';
import { settle } from './settle.ts';
import { discardTask, startContainer } from './start-container.ts';

/**
 * Finds the containers again that were there before this daemon was: those that run go on and are known by their tasks; those that
 * ended meanwhile are put in order; what an interrupted create, start or remove has left is taken away.
 */
export async function adopt(daemon: Daemon): Promise<void> {
  const { containerd, containers } = daemon;
  const { tasks } = await containerd.tasks.list({});
  for (const record of containers.all()) {
    if (isRunning(record)) await lookAfter(daemon, record);
    else if (tasks.some((task) => taskOf(task) === record.id)) await discardTask(daemon, record.id);
    if (!isRunning(record) && record.endpoint) {
      daemon.network.release(record.endpoint);
      record.endpoint = null;
      await containers.save(record);
    }
    if (record.state.status === 'removing' || (!isRunning(record) && endedForGood(record))) {
      record.state.status = 'dead';
      await removeContainer(daemon, record, { force: true, volumes: record.hostConfig.AutoRemove });
    }
  }
  await discardUnknown(daemon);
}

/** A container of `--rm` whose daemon died before it could remove it. One that has never run may be about to. */
const endedForGood = ({ hostConfig, state }: ContainerRecord): boolean =>
  hostConfig.AutoRemove && state.status !== 'created';

/** Starts the containers whose restart policy wants it. After the adoption, when requests are being answered. */
export function startByPolicy(daemon: Daemon): void {
  for (const record of daemon.containers.all()) {
    const { Name } = record.hostConfig.RestartPolicy;
    if (record.state.status !== 'exited') continue;
    if (Name === 'always' || (Name === 'unless-stopped' && !record.state.stoppedByHand))
      startContainer(daemon, record).catch((error: unknown) => log('warn', `starting ${record.id}`, error));
  }
}

/** What is in containerd under our name, and in no record: a create that was interrupted. */
async function discardUnknown(daemon: Daemon): Promise<void> {
  const { containerd, containers, options } = daemon;
  const known = new Set(containers.all().map(({ id }) => id));
  const ours = (labels: Record<string, string>): boolean => labels[OWNER_LABEL] === options.dataRoot;
  for (const { id, labels } of (await containerd.containers.list({})).containers)
    if (ours(labels) && !known.has(id)) await containerd.containers.delete({ id });
  const unknown = new Set<string>();
  for await (const { info } of containerd.snapshots.list({ snapshotter: containerd.snapshotter }))
    for (const { name, labels } of info) {
      const id = ownerOfLayer(name);
      if (ours(labels) && !known.has(id)) unknown.add(id);
    }
  for (const id of unknown) await removeLayers(daemon, id);
}

const taskOf = (task: Process): string => task.containerId || task.id;

/** Asks containerd how a container is that should be running; one that is not is put in order. */
export async function lookAfter(daemon: Daemon, record: ContainerRecord): Promise<void> {
  if (!isRunning(record) || record.state.status === 'restarting') return;
  const task = await taskState(daemon, record.id);
  if (!task || task.status === 'STOPPED' || task.status === 'CREATED') {
    if (task?.status === 'CREATED') await discardTask(daemon, record.id);
    return settle(daemon, record, task?.status === 'STOPPED' ? task : undefined);
  }
  const status = task.status === 'PAUSED' ? 'paused' : 'running';
  if (record.state.pid === task.pid && record.state.status === status) return;
  Object.assign(record.state, { pid: task.pid, status });
  await daemon.containers.save(record);
}

async function taskState({ containerd }: Daemon, containerId: string): Promise<Process | undefined> {
  try {
    return (await containerd.tasks.get({ containerId })).process;
  } catch (error) {
    if (isGrpcError(error, 'NotFound')) return undefined;
    throw error;
  }
}

/** Pause before a lost subscription is renewed. Milliseconds. */
const PAUSE = 200;
/** What events would have told between the renewal and the server's taking note of it is found so many milliseconds later. */
const SECOND_LOOK = 1000;

/**
 * Follows containerd's events until `signal` is aborted. When the connection is lost, `reconnect` is called (it starts a mycontainerd that
 * has died), the subscription is renewed, and every container is looked after: what happened meanwhile has no event.
 */
export async function followContainerd(
  daemon: Daemon,
  reconnect: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const lookAfterAll = async (): Promise<void> => {
    const { tasks } = await daemon.containerd.tasks.list({});
    const withTask = new Set(tasks.map(taskOf));
    for (const record of daemon.containers.all())
      await (
        isRunning(record) || !withTask.has(record.id)
          ? lookAfter(daemon, record)
          : discardStray(daemon, record)
      ).catch((error: unknown) => log('warn', `looking after ${record.id}`, error));
  };
  const lookAgain = (): void =>
    void lookAfterAll().catch((error: unknown) => log('warn', 'looking after the containers', error));
  for (let first = true; !signal.aborted; first = false) {
    try {
      if (!first) await reconnect();
      const events = daemon.containerd.events.subscribe({ filters: ['topic~="^/tasks/"'] }, { signal });
      if (!first) lookAgain();
      const second = setTimeout(lookAgain, SECOND_LOOK);
      try {
        for await (const envelope of events) handle(daemon, envelope);
      } finally {
        clearTimeout(second);
      }
    } catch (error) {
      if (!signal.aborted) log('warn', 'the connection to containerd is lost', error);
    }
    if (!signal.aborted) await sleep(PAUSE);
  }
}

function handle(daemon: Daemon, { namespace, event: any }: EventEnvelope): void {
  const event = decodeEvent(any);
  if (namespace !== daemon.containerd.namespace || !event || !('containerId' in event)) return;
  const record = daemon.containers.all().find(({ id }) => id === event.containerId);
  if (!record) return;
  const carefully = (what: Promise<void>): void =>
    void what.catch((error: unknown) => log('warn', `${event.type} of ${record.id}`, error));
  switch (event.type) {
    case 'TaskExit':
      if (event.id === record.id) carefully(settleRun(daemon, record, event));
      else daemon.execs.get(event.id)?.end(event.exitStatus);
      break;
    case 'TaskCreate':
      carefully(discardStray(daemon, record));
      break;
    case 'TaskOOM':
      record.state.oomKilled = true;
      break;
    case 'TaskPaused':
    case 'TaskResumed':
      carefully(lookAfter(daemon, record));
      break;
  }
}

/** Takes a task away that nobody here has asked for: a daemon that was killed in the middle of a start had, and it came late. */
async function discardStray(daemon: Daemon, record: ContainerRecord): Promise<void> {
  await daemon.runs.of(record).serially(async () => {
    if (!isRunning(record)) await discardTask(daemon, record.id);
  });
}

/** The end of this very run: an event of the one before may come late. */
async function settleRun(
  daemon: Daemon,
  record: ContainerRecord,
  exit: { pid: number; exitStatus: number; exitedAt: { seconds: number; nanos: number } | null },
): Promise<void> {
  // A start that is under way finishes first; only then is the process's id known.
  await daemon.runs.of(record).settled();
  if (isRunning(record) && record.state.pid === exit.pid) await settle(daemon, record, exit);
}
