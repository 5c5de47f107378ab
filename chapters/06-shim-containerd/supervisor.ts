import type { EventBus } from './event-bus.ts';
import { decodeEvent } from './api.ts';
import { GrpcError, isGrpcError } from './grpc-errors.ts';
import type { Logger } from './logger.ts';
import { GO_ZERO_TIME, toTimestamp, type Any } from './protobuf.ts';
import { findShim, startShimProgram, type ShimCaller } from './shim-binary.ts';
import { followShimLog } from './shim-log.ts';
import {
  cleanUpByShim,
  connectTask,
  shutDown,
  taskState,
  type Exit,
  type SupervisedTask,
} from './supervised-task.ts';
import { TASK_STATUS, type CreateTaskRequest, type Envelope } from './task-api.ts';
import {
  createBundle,
  findBundles,
  findShimAddress,
  removeBundle,
  type BundlePlaces,
  type TaskBundle,
} from './task-bundle.ts';

/** What runs, and the shims that it runs under. */
export interface Supervisor {
  /**
   * Makes a container out of a record: bundle, shim, and the shim's Create. Nothing is left of it when that fails.
   * @throws GrpcError AlreadyExists, NotFound (no such shim), and what the shim says
   */
  create(request: NewTask): Promise<{ pid: number }>;
  /** @throws GrpcError NotFound */
  get(namespace: string, id: string): SupervisedTask;
  has(namespace: string, id: string): boolean;
  list(namespace: string): SupervisedTask[];
  /**
   * Forgets a container that has ended, ends its shim and removes its bundle.
   * @throws GrpcError NotFound; FailedPrecondition while it runs
   */
  delete(namespace: string, id: string): Promise<Exit>;
  /** Takes an event from a shim. */
  receive(envelope: Envelope): void;
  /** Finds the shims of a server that ran before. Those that are gone are cleaned up after. */
  recover(): Promise<void>;
  /** Lets go of all shims, which live on. */
  leave(): void;
}

export interface NewTask {
  namespace: string;
  id: string;
  /** `io.containerd.runc.v2`, or a shim's absolute path. */
  runtime: string;
  /** config.json */
  spec: Uint8Array;
  options: Any | null;
  /** What goes to the shim as it is. */
  request: Omit<CreateTaskRequest, 'id' | 'bundle' | 'options'>;
}

/** How long clients may take to come back to a server that was restarted. Milliseconds. */
const COMING_BACK = 10_000;

/** Supervises the tasks whose bundles are in `places`. */
export function createSupervisor(
  places: BundlePlaces,
  caller: ShimCaller,
  events: EventBus,
  log: Logger,
): Supervisor {
  const tasks = new Map<string, SupervisedTask>();
  /** Being created or deleted: neither there nor gone. */
  const busy = new Set<string>();
  const keyOf = (namespace: string, id: string): string => `${namespace}/${id}`;

  function get(namespace: string, id: string): SupervisedTask {
    const task = tasks.get(keyOf(namespace, id));
    if (!task) throw new GrpcError('NotFound', `no running task found: task ${id} not found`);
    return task;
  }

  function adopt(task: SupervisedTask): void {
    const { namespace, id } = task.bundle;
    tasks.set(keyOf(namespace, id), task);
    void task.disconnected.then(() => {
      if (task.leaving) return;
      log('warn', `shim of ${namespace}/${id} is gone: cleaning up after it`);
      task.cleaned = cleanUpAfter(task.bundle, task).finally(() => tasks.delete(keyOf(namespace, id)));
    });
  }

  /** A shim died: ends what it left, tells everyone, and removes the bundle. Never throws. */
  async function cleanUpAfter(bundle: TaskBundle, task?: SupervisedTask): Promise<void> {
    //#region cleanUpAfter
    const { namespace, id } = bundle;
    const exit = await cleanUpByShim(bundle, caller).catch((error: Error) => {
      log('error', `${bundle.shim} delete ${namespace}/${id}: ${error.message}`);
      return { pid: 0, exitStatus: 137, exitedAt: toTimestamp(new Date()) };
    });
    const told = task?.exits.get(id);
    if (!told) {
      task?.exits.set(id, exit);
      events.tell(namespace, '/tasks/exit', 'TaskExit', { containerId: id, id, ...exit });
    }
    events.tell(namespace, '/tasks/delete', 'TaskDelete', { containerId: id, ...exit, ...told });
    removeBundleQuietly(bundle);
    //#endregion
  }

  function removeBundleQuietly(bundle: TaskBundle): void {
    try {
      removeBundle(places, bundle);
    } catch (error) {
      log('error', `bundle ${bundle.path}: ${(error as Error).message}`);
    }
  }

  async function create({
    namespace,
    id,
    runtime,
    spec,
    options,
    request,
  }: NewTask): Promise<{ pid: number }> {
    const shim = findShim(runtime, caller.beside);
    const bundle = await createBundle(places, { namespace, id, shim, spec });
    let task: SupervisedTask | undefined;
    // Before the shim starts: it wants to find the fifo.
    const endLog = followShimLog(bundle, log);
    try {
      const address = await startShimProgram(bundle, caller, options);
      task = await connectTask(bundle, address);
      void task.disconnected.then(endLog);
      const created = await task.shim.create({ ...request, id, bundle: bundle.path, options });
      adopt(task);
      return created;
    } catch (error) {
      if (task) await shutDown(task);
      endLog();
      await cleanUpByShim(bundle, caller).catch((failure: Error) => log('debug', failure.message));
      removeBundleQuietly(bundle);
      throw error;
    }
  }

  async function remove(namespace: string, id: string): Promise<Exit> {
    const task = get(namespace, id);
    const exit = await task.shim.delete({ id });
    await shutDown(task);
    tasks.delete(keyOf(namespace, id));
    // As containerd does, also after an orderly end: whatever the shim forgot goes now.
    await cleanUpByShim(task.bundle, caller).catch((error: Error) => log('warn', error.message));
    removeBundleQuietly(task.bundle);
    return exit;
  }

  /** Finds one shim again. A container that ended while nobody listened is told of now. */
  async function recover(bundle: TaskBundle): Promise<void> {
    //#gap 06.5 recover
    const { namespace, id } = bundle;
    const address = await findShimAddress(bundle);
    const task = address && (await connectTask(bundle, address).catch(() => undefined));
    if (!task) return cleanUpAfter(bundle);
    void task.disconnected.then(followShimLog(bundle, log));
    const state = await taskState(task).catch((error: Error) => error);
    if (isGrpcError(state, 'NotFound')) {
      // It never got its container, or has deleted it already.
      await shutDown(task);
      await cleanUpByShim(bundle, caller).catch((error: Error) => log('warn', error.message));
      return removeBundleQuietly(bundle);
    }
    adopt(task);
    // A shim that does not answer may yet; one that dies is noticed from now on.
    if (state instanceof Error) return log('warn', `shim of ${namespace}/${id}: ${state.message}`);
    if (state.status !== TASK_STATUS.STOPPED) return;
    const { pid, exitStatus, exitedAt } = state;
    task.exits.set(id, { pid, exitStatus, exitedAt });
    events.tell(namespace, '/tasks/exit', 'TaskExit', {
      containerId: id,
      id,
      pid,
      exitStatus,
      exitedAt: exitedAt ?? GO_ZERO_TIME,
    });
    //#end
  }

  /** One thing at a time for each container. */
  async function alone<T>(namespace: string, id: string, act: () => Promise<T>): Promise<T> {
    const key = keyOf(namespace, id);
    if (busy.has(key)) throw new GrpcError('Unavailable', `task ${id} is being created or deleted`);
    busy.add(key);
    try {
      return await act();
    } finally {
      busy.delete(key);
    }
  }

  return {
    get,
    has: (namespace, id) => tasks.has(keyOf(namespace, id)) || busy.has(keyOf(namespace, id)),
    list: (namespace) => [...tasks.values()].filter((task) => task.bundle.namespace === namespace),
    create: (request) =>
      alone(request.namespace, request.id, () => {
        if (tasks.has(keyOf(request.namespace, request.id)))
          throw new GrpcError('AlreadyExists', `task ${request.id}: already exists`);
        return create(request);
      }),
    delete: (namespace, id) => alone(namespace, id, () => remove(namespace, id)),
    receive(envelope) {
      const event = decodeEvent(envelope.event);
      if (event?.type === 'TaskExit') {
        const task = tasks.get(keyOf(envelope.namespace, event.containerId));
        // A shim that found nobody home tells again; what recovery has told already is not told twice.
        if (isSameExit(task?.exits.get(event.id), event)) return;
        task?.exits.set(event.id, event);
      }
      events.publish(envelope);
    },
    async recover() {
      const bundles = await findBundles(places);
      if (bundles.length > 0) events.remember(COMING_BACK);
      await Promise.all(bundles.map(recover));
    },
    leave() {
      for (const task of tasks.values()) task.leave();
    },
  };
}

/** An exec's id may be used again: the same process, at the same time, is the same exit. */
const isSameExit = (a: Exit | undefined, b: Exit): boolean =>
  a?.pid === b.pid && a.exitedAt?.seconds === b.exitedAt?.seconds && a.exitedAt?.nanos === b.exitedAt?.nanos;
