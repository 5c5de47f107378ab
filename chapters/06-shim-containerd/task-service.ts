import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno, kill, SIGNALS } from '../01-processes/index.ts';
import { mountAll, unmountAll } from '../04-overlayfs/index.ts';
import { chooseRuntime, writeShimState } from './bundle.ts';
import { openConsoleSocket } from './console-socket.ts';
import type { EventForwarder } from './event-forwarder.ts';
import { ociRuntime, type NewProcess, type OciRuntime } from './oci-runtime.ts';
import { countOomKills, readCgroupPaths, readMetrics } from './shim-cgroup.ts';
import { decode, encode, GO_ZERO_TIME, toTimestamp, type Any } from './protobuf.ts';
import type { Exit, Reaper } from './reaper.ts';
import { newShimProcess, type ShimProcess } from './shim-process.ts';
import { openStdio } from './stdio.ts';
import {
  RUNC_OPTIONS_TYPE_URL,
  shimProtos,
  TASK_STATUS,
  type CreateTaskRequest,
  type ProcessRef,
  type RuncOptions,
  type TaskService,
} from './task-api.ts';
import { CODE, TtrpcError } from './ttrpc.ts';

export interface ShimContext {
  /** containerd's namespace */
  namespace: string;
  /** where this program is, and myrunc beside it */
  programDirectory: string;
  reaper: Reaper;
  events: EventForwarder;
  log: (text: string) => void;
  /** Ends the shim once the answer is out. */
  shutdown: () => void;
}

/** The one container of a shim. */
interface Container {
  id: string;
  bundle: string;
  runtime: OciRuntime;
  /** the binary's signals may be sent past it, straight to the process */
  nativeProcesses: boolean;
  /** its processes do not end with the first one */
  sharesPidNamespace: boolean;
  /** cgroup paths by controller ('' for v2), as of the first process */
  cgroups: Map<string, string>;
  oomKills: number;
  paused: boolean;
  /** by exec id; '' is the container's first process */
  processes: Map<string, ShimProcess>;
}

/** `containerd.task.v2.Task` for one container: what containerd asks of a shim. */
export function taskService(shim: ShimContext): TaskService {
  const { reaper, events } = shim;
  let container: Container | undefined;

  const find = (ref: ProcessRef): { container: Container; process: ShimProcess } => {
    if (container?.id !== ref.id) throw new TtrpcError(CODE.NOT_FOUND, `container ${ref.id} not found`);
    const process = container.processes.get(ref.execId ?? '');
    if (!process) throw new TtrpcError(CODE.NOT_FOUND, `process ${ref.execId || ref.id} does not exist`);
    return { container, process };
  };

  /** Has the runtime make a process, with its stdio, and sees to its end. Nothing stays open when that fails. */
  const make = async (
    of: Container,
    process: ShimProcess,
    call: (how: NewProcess) => Promise<number>,
  ): Promise<void> => {
    const { terminal } = process.stdioRequest;
    const stdio = openStdio(process.stdioRequest, shim.log);
    const console = terminal ? openConsoleSocket() : undefined;
    try {
      const { pid, exited } = await reaper.adopt(() =>
        call({
          stdio: stdio.child,
          pidFile: join(of.bundle, `${process.execId || 'init'}.pid`),
          ...(console && { consoleSocket: console.path }),
        }),
      );
      process.pid = pid;
      process.stdio = stdio;
      stdio.handedOver();
      if (console) stdio.attachConsole(console.receive());
      void exited.then((exit) => ended(of, process, exit)).catch((error) => shim.log(String(error)));
    } catch (error) {
      await stdio.close();
      process.stdio = undefined;
      throw error;
    } finally {
      console?.close();
    }
  };

  /** A process has ended: what it wrote is brought home first, then its exit is told. */
  const ended = async (of: Container, process: ShimProcess, exit: Exit): Promise<void> => {
    await process.starting;
    // Without a pid namespace of its own the container's other processes live on: nobody would ever end them.
    if (process.execId === '' && of.sharesPidNamespace)
      await of.runtime.kill(of.id, SIGNALS['SIGKILL']!, { all: true }).catch(() => undefined);
    process.stdio?.drain();
    const oomKills = countOomKills(of.cgroups);
    if (oomKills > of.oomKills) events.publish('TaskOOM', { containerId: of.id });
    of.oomKills = oomKills;
    events.publish('TaskExit', {
      containerId: of.id,
      id: process.execId || of.id,
      pid: process.pid,
      exitStatus: exit.status,
      exitedAt: toTimestamp(exit.at),
    });
    process.end(exit);
  };

  const create = async (request: CreateTaskRequest): Promise<{ pid: number }> => {
    const { id, bundle, rootfs = [] } = request;
    if (container)
      throw new TtrpcError(CODE.ALREADY_EXISTS, `container ${container.id} exists already in this shim`);
    if (request.checkpoint) throw new TtrpcError(CODE.UNIMPLEMENTED, 'checkpoints cannot be restored');
    const options = readOptions(request.options);
    const state = chooseRuntime(bundle, shim.namespace, options, shim.programDirectory);
    const init = newShimProcess('', stdioRequest(request));
    const made: Container = (container = {
      id,
      bundle,
      runtime: ociRuntime({ ...state, bundle, reaper }),
      nativeProcesses: /(^|\/)(myrunc|runc|crun)$/.test(state.binary),
      sharesPidNamespace: sharesPidNamespace(bundle),
      cgroups: new Map(),
      oomKills: 0,
      paused: false,
      processes: new Map([['', init]]),
    });
    const root = join(bundle, 'rootfs');
    try {
      if (rootfs.length > 0) {
        mkdirSync(root, { recursive: true, mode: 0o711 });
        mountAll(rootfs, root);
      }
      mkdirSync(state.root, { recursive: true, mode: 0o711 });
      writeShimState(bundle, state);
      const flags = { noPivot: options.noPivotRoot ?? false, noNewKeyring: options.noNewKeyring ?? false };
      await make(made, init, (how) => made.runtime.create(id, { ...how, ...flags }));
    } catch (error) {
      await made.runtime.delete(id, { force: true }).catch(() => undefined);
      if (rootfs.length > 0) unmountAll(root);
      container = undefined;
      throw error;
    }
    made.cgroups = readCgroupPaths(init.pid);
    made.oomKills = countOomKills(made.cgroups);
    const { stdin, stdout, stderr, terminal } = init.stdioRequest;
    const io = { stdin, stdout, stderr, terminal };
    events.publish('TaskCreate', { containerId: id, bundle, rootfs, io, pid: init.pid });
    return { pid: init.pid };
  };

  const start = async (of: Container, process: ShimProcess): Promise<void> => {
    const { id, bundle, runtime } = of;
    if (process.execId === '') {
      await runtime.start(id);
      process.started = true;
      events.publish('TaskStart', { containerId: id, pid: process.pid });
      return;
    }
    const spec = join(bundle, `${process.execId}.process.json`);
    writeFileSync(spec, process.spec, { mode: 0o600 });
    try {
      await make(of, process, (how) => runtime.exec(id, spec, how));
    } finally {
      rmSync(spec, { force: true });
    }
    process.started = true;
    events.publish('TaskExecStarted', { containerId: id, execId: process.execId, pid: process.pid });
  };

  return {
    create,

    start: async (ref) => {
      const { container, process } = find(ref);
      if (process.started)
        throw new TtrpcError(CODE.FAILED_PRECONDITION, `${describe(ref)} has been started already`);
      if (process.exit)
        throw new TtrpcError(
          CODE.FAILED_PRECONDITION,
          `${describe(ref)} ended before it was started, with status ${process.exit.status}`,
        );
      const starting = start(container, process);
      process.starting = starting.catch(() => undefined);
      await starting;
      return { pid: process.pid };
    },

    exec: async ({ id, execId, spec, ...io }) => {
      const { container, process: init } = find({ id });
      if (!/^[\w][\w.-]*$/.test(execId) || execId === 'init')
        throw new TtrpcError(CODE.INVALID_ARGUMENT, `exec id ${JSON.stringify(execId)} is none`);
      if (container.processes.has(execId)) throw new TtrpcError(CODE.ALREADY_EXISTS, `id ${execId}`);
      if (!init.started || init.exit)
        throw new TtrpcError(
          CODE.FAILED_PRECONDITION,
          `cannot exec in a ${init.exit ? 'stopped' : 'created'} state`,
        );
      if (!spec) throw new TtrpcError(CODE.INVALID_ARGUMENT, `exec ${execId}: spec is missing`);
      const request = stdioRequest(io);
      container.processes.set(execId, newShimProcess(execId, request, Buffer.from(spec.value).toString()));
      events.publish('TaskExecAdded', { containerId: id, execId });
      return {};
    },

    delete: async (ref) => {
      const { container: of, process } = find(ref);
      if (process.started && !process.exit)
        throw new TtrpcError(
          CODE.FAILED_PRECONDITION,
          `${describe(ref)} is running: it must be stopped before deletion`,
        );
      if (process.execId === '') {
        await of.runtime.delete(of.id, { force: !process.started });
        if (!process.exit) await process.exited;
        unmountAll(join(of.bundle, 'rootfs'));
        for (const each of of.processes.values()) await each.stdio?.close();
        container = undefined;
      } else {
        await process.stdio?.close();
        of.processes.delete(process.execId);
        process.end({ status: 0, at: new Date() }); // one that never started
      }
      const exit = process.exit!;
      const answer = { pid: process.pid, exitStatus: exit.status, exitedAt: toTimestamp(exit.at) };
      if (process.execId === '') events.publish('TaskDelete', { containerId: of.id, ...answer });
      return answer;
    },

    state: async (ref) => {
      const { container, process } = find(ref);
      const { exit, pid, stdioRequest } = process;
      return {
        id: ref.id,
        execId: process.execId,
        bundle: container.bundle,
        pid,
        status: statusOf(container, process),
        ...stdioRequest,
        exitStatus: exit?.status ?? 0,
        exitedAt: exit ? toTimestamp(exit.at) : GO_ZERO_TIME,
      };
    },

    kill: async ({ signal, all, ...ref }) => {
      const { container, process } = find(ref);
      if (all || (process.execId === '' && (container.paused || !container.nativeProcesses)))
        return await container.runtime.kill(container.id, signal, { all: all ?? false }).then(() => ({}));
      if (process.exit) throw new TtrpcError(CODE.NOT_FOUND, 'process already finished');
      if (process.pid === 0)
        throw new TtrpcError(CODE.FAILED_PRECONDITION, `${describe(ref)} has not been started`);
      // It is our child and we have not waited for it, so the number is still its own.
      try {
        kill(process.pid, signal);
      } catch (error) {
        if (!isErrno(error, 'ESRCH')) throw error;
        throw new TtrpcError(CODE.NOT_FOUND, 'process already finished', { cause: error });
      }
      return {};
    },

    wait: async (ref) => {
      const exit = await find(ref).process.exited;
      return { exitStatus: exit.status, exitedAt: toTimestamp(exit.at) };
    },

    resizePty: async ({ width, height, ...ref }) => {
      find(ref).process.stdio?.resize({ width, height });
      return {};
    },

    closeIO: async ({ stdin, ...ref }) => {
      const { process } = find(ref);
      if (stdin) process.stdio?.closeStdin();
      return {};
    },

    connect: async () => ({
      shimPid: process.pid,
      taskPid: container?.processes.get('')?.pid ?? 0,
      version: 'v2',
    }),

    pids: async ({ id }) => {
      const { container } = find({ id });
      const execs = new Map([...container.processes.values()].map(({ pid, execId }) => [pid, execId]));
      const pids = await container.runtime.ps(id);
      return { processes: pids.map((pid) => ({ pid, info: execDetails(execs.get(pid)) })) };
    },

    pause: async ({ id }) => {
      const { container } = find({ id });
      await container.runtime.pause(id);
      container.paused = true;
      events.publish('TaskPaused', { containerId: id });
      return {};
    },

    resume: async ({ id }) => {
      const { container } = find({ id });
      await container.runtime.resume(id);
      container.paused = false;
      events.publish('TaskResumed', { containerId: id });
      return {};
    },

    update: async ({ id, resources }) => {
      const { container } = find({ id });
      if (!resources) throw new TtrpcError(CODE.INVALID_ARGUMENT, `update of ${id}: resources are missing`);
      await container.runtime.update(id, Buffer.from(resources.value).toString());
      return {};
    },

    stats: async ({ id }) => ({ stats: readMetrics(find({ id }).container.cgroups) }),

    shutdown: async () => {
      if (!container) shim.shutdown();
      return {};
    },
  };
}

const describe = (ref: ProcessRef): string =>
  ref.execId ? `process ${ref.execId} of ${ref.id}` : `container ${ref.id}`;

function statusOf(container: Container, process: ShimProcess): number {
  if (process.exit) return TASK_STATUS.STOPPED;
  if (!process.started) return TASK_STATUS.CREATED;
  return container.paused ? TASK_STATUS.PAUSED : TASK_STATUS.RUNNING;
}

const stdioRequest = (request: { terminal?: boolean; stdin?: string; stdout?: string; stderr?: string }) => ({
  terminal: request.terminal ?? false,
  stdin: request.stdin ?? '',
  stdout: request.stdout ?? '',
  stderr: request.stderr ?? '',
});

function readOptions(options: Any | null | undefined): Partial<RuncOptions> {
  if (!options?.typeUrl.endsWith(RUNC_OPTIONS_TYPE_URL)) return {};
  return decode<RuncOptions>(shimProtos().lookupType(RUNC_OPTIONS_TYPE_URL), options.value);
}

function execDetails(execId: string | undefined): Any | null {
  if (!execId) return null;
  const typeUrl = 'containerd.runc.v1.ProcessDetails';
  return { typeUrl, value: encode(shimProtos().lookupType(typeUrl), { execId }) };
}

/** Whether config.json gives the container no pid namespace of its own, or another's. */
function sharesPidNamespace(bundle: string): boolean {
  const spec = JSON.parse(readFileSync(join(bundle, 'config.json'), 'utf8')) as {
    linux?: { namespaces?: { type: string; path?: string }[] };
  };
  const pid = spec.linux?.namespaces?.find(({ type }) => type === 'pid');
  return !pid || Boolean(pid.path);
}
