import type protobuf from 'protobufjs';
import { lazyProtos, type Any, type Timestamp } from './protobuf.ts';
import {
  COMMON_PROTOS,
  METRICS_PROTOS,
  RUNC_OPTIONS_PROTO,
  TASK_EVENTS_PROTO,
  TASK_PROTO,
  TTRPC_EVENTS_PROTO,
} from './shim-protos.ts';

/** Every message that a shim reads or writes. */
export const shimProtos = lazyProtos(
  ...COMMON_PROTOS,
  TASK_PROTO,
  TTRPC_EVENTS_PROTO,
  TASK_EVENTS_PROTO,
  RUNC_OPTIONS_PROTO,
);

/** `io.containerd.cgroups.v1.Metrics` and `…v2.Metrics`, one of which Stats answers. Not read before someone asks. */
export const metricsProtos = lazyProtos(...METRICS_PROTOS);

/** `containerd.task.v2.Task`, what a shim serves: `connection.client<TaskService>(taskServiceType())`. */
export const taskServiceType = (): protobuf.Service => shimProtos().lookupService('containerd.task.v2.Task');

/** `containerd.services.events.ttrpc.v1.Events`, what containerd serves to its shims on TTRPC_ADDRESS. */
export const forwardServiceType = (): protobuf.Service =>
  shimProtos().lookupService('containerd.services.events.ttrpc.v1.Events');

/** The metadata key by which a shim says whose events these are. */
export const NAMESPACE_METADATA = 'containerd-namespace-ttrpc';

/** States of a process. */
export const TASK_STATUS = { UNKNOWN: 0, CREATED: 1, RUNNING: 2, STOPPED: 3, PAUSED: 4, PAUSING: 5 } as const;

/** The type of an exec's spec: JSON of the OCI runtime-spec's Process. */
export const PROCESS_TYPE_URL = 'types.containerd.io/opencontainers/runtime-spec/1/Process';
/** The type of an update's resources: JSON of the OCI runtime-spec's LinuxResources. */
export const RESOURCES_TYPE_URL = 'types.containerd.io/opencontainers/runtime-spec/1/LinuxResources';
/** The type of Create's options: a protobuf RuncOptions. */
export const RUNC_OPTIONS_TYPE_URL = 'containerd.runc.v1.Options';

/** containerd.types.Mount: what mount(8) would be given; options are flags and data mixed, as in fstab. */
export interface RootfsMount {
  type: string;
  source: string;
  /** below the root filesystem; usually empty */
  target?: string;
  options: string[];
}

/** Names one process: the container's first (no execId) or an exec's. */
export interface ProcessRef {
  id: string;
  execId?: string;
}

export interface CreateTaskRequest {
  id: string;
  /** directory with config.json */
  bundle: string;
  rootfs?: RootfsMount[];
  terminal?: boolean;
  /** '': none; a path: a fifo; journal://PATH, file://PATH: see stdio.ts */
  stdin?: string;
  stdout?: string;
  /** unused with a terminal */
  stderr?: string;
  checkpoint?: string;
  parentCheckpoint?: string;
  options?: Any | null;
}

export interface ExecProcessRequest extends Required<ProcessRef> {
  terminal?: boolean;
  stdin?: string;
  stdout?: string;
  stderr?: string;
  spec: Any | null;
}

export interface StateResponse extends Required<ProcessRef> {
  bundle: string;
  pid: number;
  /** one of TASK_STATUS */
  status: number;
  stdin: string;
  stdout: string;
  stderr: string;
  terminal: boolean;
  /** 0 to 255; 128 + n after signal n */
  exitStatus: number;
  exitedAt: Timestamp | null;
}

export interface ExitResponse {
  exitStatus: number;
  exitedAt: Timestamp | null;
}

/** containerd.task.v2.Task, a function a method. Refusals are TtrpcErrors with their CODE. */
export interface TaskService {
  /** Mounts the root filesystem and has the runtime create the container; its process waits for Start. */
  create(request: CreateTaskRequest): Promise<{ pid: number }>;
  start(request: ProcessRef): Promise<{ pid: number }>;
  /** Forgets a stopped process; the first one's container is removed and its root filesystem unmounted. */
  delete(request: ProcessRef): Promise<ExitResponse & { pid: number }>;
  /** Prepares another process in the container; Start runs it. */
  exec(request: ExecProcessRequest): Promise<object>;
  state(request: ProcessRef): Promise<StateResponse>;
  kill(request: ProcessRef & { signal: number; all?: boolean }): Promise<object>;
  resizePty(request: ProcessRef & { width: number; height: number }): Promise<object>;
  closeIO(request: ProcessRef & { stdin: boolean }): Promise<object>;
  /** Answers when the process has ended. */
  wait(request: ProcessRef): Promise<ExitResponse>;
  connect(request: { id: string }): Promise<{ shimPid: number; taskPid: number; version: string }>;
  pids(request: { id: string }): Promise<{ processes: { pid: number; info: Any | null }[] }>;
  update(request: {
    id: string;
    resources: Any | null;
    annotations?: Record<string, string>;
  }): Promise<object>;
  stats(request: { id: string }): Promise<{ stats: Any | null }>;
  pause(request: { id: string }): Promise<object>;
  resume(request: { id: string }): Promise<object>;
  /** Ends the shim, unless it still has a container. */
  shutdown(request: { id: string; now?: boolean }): Promise<object>;
}

/** containerd.runc.v1.Options, as far as this shim heeds them. */
export interface RuncOptions {
  noPivotRoot: boolean;
  noNewKeyring: boolean;
  /** the OCI runtime: a path or a name along PATH; '': myrunc */
  binaryName: string;
  /** where the runtime keeps its state; '': beside containerd's */
  root: string;
  systemdCgroup: boolean;
}

/** One event on its way to containerd (containerd.services.events.ttrpc.v1.Envelope). */
export interface Envelope {
  timestamp: Timestamp | null;
  namespace: string;
  /** /tasks/create, /tasks/start, /tasks/exit … */
  topic: string;
  event: Any | null;
}

export interface ForwardService {
  forward(request: { envelope: Envelope | null }, options?: { timeout?: number }): Promise<object>;
}
