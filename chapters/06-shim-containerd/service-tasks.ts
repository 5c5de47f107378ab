import type { Input, Metric } from './api-common.ts';
import type { Process, TaskStatus } from './api-tasks.ts';
import { fieldsOf, parseFilters } from './filters.ts';
import { messageOf } from './container-record.ts';
import { GrpcError, isGrpcError } from './grpc-errors.ts';
import type { Handlers } from './grpc-server.ts';
import type { Namespaces } from './namespaces.ts';
import { toTimestamp } from './protobuf.ts';
import { signalTask, taskState, taskStats, waitForExit, type SupervisedTask } from './supervised-task.ts';
import type { Supervisor } from './supervisor.ts';
import { TASK_STATUS, type StateResponse } from './task-api.ts';

/**
 * containerd.services.tasks.v1: what runs. Create and Delete are ours, because shims come and go with them; all else goes to
 * the container's shim nearly as it came.
 */
export function tasksService(namespaces: Namespaces, supervisor: Supervisor): Handlers['tasks'] {
  const shimOf = (namespace: string, id: string) => supervisor.get(namespace, id).shim;
  return {
    async create(request, { namespace }) {
      const { containerId: id, rootfs, stdin, stdout, stderr, terminal, options, checkpoint } = request;
      if (checkpoint) throw new GrpcError('Unimplemented', 'starting from a checkpoint is not implemented');
      const { containers } = await namespaces.room(namespace);
      const container = messageOf(await containers.get(id));
      const { pid } = await supervisor.create({
        namespace,
        id,
        runtime: request.runtimePath || container.runtime!.name,
        spec: container.spec!.value,
        options: options ?? container.runtime!.options,
        request: { rootfs, stdin, stdout, stderr, terminal },
      });
      return { containerId: id, pid };
    },
    start: ({ containerId: id, execId }, { namespace }) => shimOf(namespace, id).start({ id, execId }),
    async delete({ containerId: id }, { namespace }) {
      return { id, ...(await supervisor.delete(namespace, id)) };
    },
    async deleteProcess({ containerId: id, execId }, { namespace }) {
      if (!execId)
        throw new GrpcError('InvalidArgument', 'execId must be set: Delete is for the task itself');
      const { shim, exits } = supervisor.get(namespace, id);
      const exit = await shim.delete({ id, execId });
      exits.delete(execId);
      return { id: execId, ...exit };
    },
    async get({ containerId: id, execId }, { namespace }) {
      return { process: processOf(await taskState(supervisor.get(namespace, id), execId), id) };
    },
    async list(_, { namespace }) {
      const states = await Promise.all(supervisor.list(namespace).map(stateIfThere));
      return { tasks: states.filter((process) => process !== undefined) };
    },
    kill: ({ containerId: id, execId, signal, all }, { namespace }) =>
      signalTask(supervisor.get(namespace, id), { id, execId, signal, all }),
    exec: ({ containerId: id, ...request }, { namespace }) => shimOf(namespace, id).exec({ id, ...request }),
    resizePty: ({ containerId: id, ...request }, { namespace }) =>
      shimOf(namespace, id).resizePty({ id, ...request }),
    closeIO: ({ containerId: id, ...request }, { namespace }) =>
      shimOf(namespace, id).closeIO({ id, ...request }),
    pause: ({ containerId: id }, { namespace }) => shimOf(namespace, id).pause({ id }),
    resume: ({ containerId: id }, { namespace }) => shimOf(namespace, id).resume({ id }),
    listPids: ({ containerId: id }, { namespace }) => shimOf(namespace, id).pids({ id }),
    checkpoint: () => Promise.reject(new GrpcError('Unimplemented', 'checkpoints are not implemented')),
    update: ({ containerId: id, ...request }, { namespace }) =>
      shimOf(namespace, id).update({ id, ...request }),
    async metrics({ filters }, { namespace }) {
      const matches = parseFilters(filters);
      const tasks = supervisor
        .list(namespace)
        .filter(({ bundle: { id } }) => matches(fieldsOf({ id, namespace })));
      const metrics = await Promise.all(tasks.map(metricOf));
      return { metrics: metrics.filter((metric) => metric !== undefined) };
    },
    wait: ({ containerId: id, execId }, { namespace }) =>
      waitForExit(supervisor.get(namespace, id), { id, execId }),
  };
}

/** A task that ends while the list is made is not in it; one whose shim is stuck is, as UNKNOWN. */
async function stateIfThere(task: SupervisedTask): Promise<Input<Process> | undefined> {
  const { id } = task.bundle;
  try {
    return processOf(await taskState(task), id);
  } catch (error) {
    return isGrpcError(error, 'DeadlineExceeded') ? { id, containerId: id, status: 'UNKNOWN' } : undefined;
  }
}

async function metricOf(task: SupervisedTask): Promise<Input<Metric> | undefined> {
  try {
    const { stats } = await taskStats(task);
    return { id: task.bundle.id, timestamp: toTimestamp(new Date()), data: stats };
  } catch {
    return undefined;
  }
}

const STATUS_NAMES = Object.keys(TASK_STATUS) as TaskStatus[];

const processOf = (state: StateResponse, containerId: string): Input<Process> => ({
  containerId,
  id: state.execId || containerId,
  pid: state.pid,
  status: STATUS_NAMES.find((name) => TASK_STATUS[name] === state.status) ?? 'UNKNOWN',
  stdin: state.stdin,
  stdout: state.stdout,
  stderr: state.stderr,
  terminal: state.terminal,
  exitStatus: state.exitStatus,
  exitedAt: state.exitedAt,
});
