import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GrpcError, isGrpcError } from './grpc-errors.ts';
import { deleteShimProgram, type ShimCaller } from './shim-binary.ts';
import {
  taskServiceType,
  type ExitResponse,
  type ProcessRef,
  type StateResponse,
  type TaskService,
} from './task-api.ts';
import type { Any } from './protobuf.ts';
import type { TaskBundle } from './task-bundle.ts';
import { connectTtrpc } from './ttrpc.ts';

/** How a process ended, as it was told to everyone. */
export type Exit = ExitResponse & { pid: number };

/** What runs for a container: a bundle, its shim, and what we know of its end. */
export interface SupervisedTask {
  readonly bundle: TaskBundle;
  /** The shim's Task service. Its calls fail with Unavailable when the shim is gone. */
  readonly shim: TaskService;
  /** Ends of processes that have been told: the first one under the container's id, execs under theirs. */
  readonly exits: Map<string, Exit>;
  /** Settles when the connection to the shim has ended, whoever ended it. */
  readonly disconnected: Promise<void>;
  /** Settles when a shim that died has been cleaned up after. */
  cleaned: Promise<void> | undefined;
  /** The connection's end is our doing: no reason to clean up. */
  leaving: boolean;
  /** Ends the connection; the shim lives on. */
  leave(): void;
}

/** A shim that is well answers at once. Milliseconds. */
const PATIENCE = 5000;

/**
 * Connects to a bundle's shim.
 * @throws Node's socket errors (ENOENT, ECONNREFUSED) where nobody listens any more
 */
export async function connectTask(bundle: TaskBundle, address: string): Promise<SupervisedTask> {
  const connection = await connectTtrpc(address);
  const task: SupervisedTask = {
    bundle,
    shim: connection.client<TaskService>(taskServiceType()),
    exits: new Map(),
    disconnected: connection.closed,
    cleaned: undefined,
    leaving: false,
    leave: () => {
      task.leaving = true;
      connection.close();
    },
  };
  return task;
}

/**
 * A process's state as the shim says it; of the first one if no exec is named.
 * @throws GrpcError NotFound when the shim has no such process (any more), DeadlineExceeded when the shim is stuck, Unavailable when it is
 * gone
 */
export const taskState = (task: SupervisedTask, execId = ''): Promise<StateResponse> =>
  withPatience(task.shim.state({ id: task.bundle.id, execId }), `shim of ${task.bundle.id}`);

/**
 * Sends a signal through the shim.
 * @throws GrpcError NotFound when the process has ended, also when its shim ended with it while we asked
 */
export async function signalTask(
  task: SupervisedTask,
  request: Parameters<TaskService['kill']>[0],
): Promise<object> {
  try {
    return await task.shim.kill(request);
  } catch (error) {
    if (!isGrpcError(error, 'Unavailable')) throw error;
    // A shim ends when its task is deleted; one that died is cleaned up after, which ends the task.
    await task.disconnected;
    await task.cleaned;
    throw new GrpcError('NotFound', 'process already finished', { cause: error });
  }
}

/** What a task uses, as its shim measures it. @throws GrpcError as taskState */
export const taskStats = (task: SupervisedTask): Promise<{ stats: Any | null }> =>
  withPatience(task.shim.stats({ id: task.bundle.id }), `shim of ${task.bundle.id}`);

/** Lets the shim end, and waits until it has; one that does not is left to `delete`. */
export async function shutDown(task: SupervisedTask): Promise<void> {
  task.leaving = true;
  try {
    await withPatience(task.shim.shutdown({ id: task.bundle.id, now: true }), 'Shutdown');
    await withPatience(task.disconnected, 'end of shim');
  } catch {
    // Gone already, or stuck.
  }
  task.leave();
}

/** How the first process ended, according to the shim's `delete`, which makes sure that it has. */
export async function cleanUpByShim(bundle: TaskBundle, caller: ShimCaller): Promise<Exit> {
  const exit = await deleteShimProgram(bundle, caller);
  return { ...exit, pid: exit.pid || initPid(bundle) };
}

/** What shims write beside config.json: the process id of the container's first process. 0 if none did. */
function initPid({ path }: TaskBundle): number {
  try {
    return Number(readFileSync(join(path, 'init.pid'), 'utf8'));
  } catch {
    return 0;
  }
}

/**
 * Waits for a process's end. When the shim dies, the answer is how its container ended when that was cleaned up.
 * @throws GrpcError NotFound; Unavailable for an exec whose shim died
 */
export async function waitForExit(
  task: SupervisedTask,
  { id, execId = '' }: ProcessRef,
): Promise<ExitResponse> {
  try {
    return await task.shim.wait({ id, execId });
  } catch (error) {
    if (!isGrpcError(error, 'Unavailable') || task.leaving) throw error;
    // The connection's end is noticed in the same moment: let whoever cleans up begin.
    await task.disconnected;
    await task.cleaned;
    const exit = task.exits.get(execId || id);
    if (!exit) throw error;
    return exit;
  }
}

async function withPatience<T>(answer: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const impatient = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new GrpcError('DeadlineExceeded', `${what}: nothing within ${PATIENCE} ms`)),
      PATIENCE,
    );
  });
  try {
    return await Promise.race([answer, impatient]);
  } finally {
    clearTimeout(timer);
  }
}
