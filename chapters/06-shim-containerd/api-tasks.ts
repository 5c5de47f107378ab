import type { Any, Descriptor, Empty, Metric, Mount, Timestamp, Unary } from './api-common.ts';

export type TaskStatus = 'UNKNOWN' | 'CREATED' | 'RUNNING' | 'STOPPED' | 'PAUSED' | 'PAUSING';

/** A process of a task: its first one, or one that was brought in by exec. */
export interface Process {
  /** The container; not set by every server. */
  containerId: string;
  /** The container's id, or the exec's. */
  id: string;
  pid: number;
  status: TaskStatus;
  stdin: string;
  stdout: string;
  stderr: string;
  terminal: boolean;
  exitStatus: number;
  exitedAt: Timestamp | null;
}

export interface CreateTaskRequest {
  containerId: string;
  /** The mounts that make the container's root; the shim mounts them on `rootfs` in the bundle. */
  rootfs: Mount[];
  /** fifo paths, or URIs: `file://`, `binary://`, and here `journal://`. Empty: /dev/null. */
  stdin: string;
  stdout: string;
  stderr: string;
  terminal: boolean;
  checkpoint: Descriptor | null;
  /** Options for the shim, `containerd.runc.v1.Options`, in place of the container's. */
  options: Any | null;
  runtimePath: string;
}

export interface DeleteResponse {
  id: string;
  pid: number;
  exitStatus: number;
  exitedAt: Timestamp | null;
}

/** A process of a container: `execId` empty means the first one. */
export interface ProcessRef {
  containerId: string;
  execId: string;
}

export interface ExecProcessRequest {
  containerId: string;
  stdin: string;
  stdout: string;
  stderr: string;
  terminal: boolean;
  /** The runtime spec's process object as JSON, under `types.containerd.io/opencontainers/runtime-spec/1/Process`. */
  spec: Any | null;
  execId: string;
}

export interface TasksApi {
  create: Unary<CreateTaskRequest, { containerId: string; pid: number }>;
  start: Unary<ProcessRef, { pid: number }>;
  delete: Unary<{ containerId: string }, DeleteResponse>;
  deleteProcess: Unary<ProcessRef, DeleteResponse>;
  get: Unary<ProcessRef, { process: Process }>;
  list: Unary<{ filter: string }, { tasks: Process[] }>;
  kill: Unary<ProcessRef & { signal: number; all: boolean }, Empty>;
  exec: Unary<ExecProcessRequest, Empty>;
  resizePty: Unary<ProcessRef & { width: number; height: number }, Empty>;
  closeIO: Unary<ProcessRef & { stdin: boolean }, Empty>;
  pause: Unary<{ containerId: string }, Empty>;
  resume: Unary<{ containerId: string }, Empty>;
  listPids: Unary<{ containerId: string }, { processes: { pid: number; info: Any | null }[] }>;
  checkpoint: Unary<
    { containerId: string; parentCheckpoint: string; options: Any | null },
    { descriptors: Descriptor[] }
  >;
  update: Unary<{ containerId: string; resources: Any | null; annotations: Record<string, string> }, Empty>;
  metrics: Unary<{ filters: string[] }, { metrics: Metric[] }>;
  wait: Unary<ProcessRef, { exitStatus: number; exitedAt: Timestamp | null }>;
}

export const tasksProtos = [
  `syntax = "proto3";
package containerd.v1.types;
message Process {
  string container_id = 1;
  string id = 2;
  uint32 pid = 3;
  Status status = 4;
  string stdin = 5;
  string stdout = 6;
  string stderr = 7;
  bool terminal = 8;
  uint32 exit_status = 9;
  google.protobuf.Timestamp exited_at = 10;
}`,

  `syntax = "proto3";
package containerd.services.tasks.v1;
service Tasks {
  rpc Create(CreateTaskRequest) returns (CreateTaskResponse);
  rpc Start(StartRequest) returns (StartResponse);
  rpc Delete(DeleteTaskRequest) returns (DeleteResponse);
  rpc DeleteProcess(DeleteProcessRequest) returns (DeleteResponse);
  rpc Get(GetRequest) returns (GetResponse);
  rpc List(ListTasksRequest) returns (ListTasksResponse);
  rpc Kill(KillRequest) returns (google.protobuf.Empty);
  rpc Exec(ExecProcessRequest) returns (google.protobuf.Empty);
  rpc ResizePty(ResizePtyRequest) returns (google.protobuf.Empty);
  rpc CloseIO(CloseIORequest) returns (google.protobuf.Empty);
  rpc Pause(PauseTaskRequest) returns (google.protobuf.Empty);
  rpc Resume(ResumeTaskRequest) returns (google.protobuf.Empty);
  rpc ListPids(ListPidsRequest) returns (ListPidsResponse);
  rpc Checkpoint(CheckpointTaskRequest) returns (CheckpointTaskResponse);
  rpc Update(UpdateTaskRequest) returns (google.protobuf.Empty);
  rpc Metrics(MetricsRequest) returns (MetricsResponse);
  rpc Wait(WaitRequest) returns (WaitResponse);
}
message CreateTaskRequest {
  string container_id = 1;
  repeated containerd.types.Mount rootfs = 3;
  string stdin = 4;
  string stdout = 5;
  string stderr = 6;
  bool terminal = 7;
  containerd.types.Descriptor checkpoint = 8;
  google.protobuf.Any options = 9;
  string runtime_path = 10;
}
message CreateTaskResponse { string container_id = 1; uint32 pid = 2; }
message StartRequest { string container_id = 1; string exec_id = 2; }
message StartResponse { uint32 pid = 1; }
message DeleteTaskRequest { string container_id = 1; }
message DeleteResponse { string id = 1; uint32 pid = 2; uint32 exit_status = 3; google.protobuf.Timestamp exited_at = 4; }
message DeleteProcessRequest { string container_id = 1; string exec_id = 2; }
message GetRequest { string container_id = 1; string exec_id = 2; }
message GetResponse { containerd.v1.types.Process process = 1; }
message ListTasksRequest { string filter = 1; }
message ListTasksResponse { repeated containerd.v1.types.Process tasks = 1; }
message KillRequest { string container_id = 1; string exec_id = 2; uint32 signal = 3; bool all = 4; }
message ExecProcessRequest {
  string container_id = 1;
  string stdin = 2;
  string stdout = 3;
  string stderr = 4;
  bool terminal = 5;
  google.protobuf.Any spec = 6;
  string exec_id = 7;
}
message ResizePtyRequest { string container_id = 1; string exec_id = 2; uint32 width = 3; uint32 height = 4; }
message CloseIORequest { string container_id = 1; string exec_id = 2; bool stdin = 3; }
message PauseTaskRequest { string container_id = 1; }
message ResumeTaskRequest { string container_id = 1; }
message ListPidsRequest { string container_id = 1; }
message ListPidsResponse { repeated containerd.v1.types.ProcessInfo processes = 1; }
message CheckpointTaskRequest { string container_id = 1; string parent_checkpoint = 2; google.protobuf.Any options = 3; }
message CheckpointTaskResponse { repeated containerd.types.Descriptor descriptors = 1; }
message UpdateTaskRequest { string container_id = 1; google.protobuf.Any resources = 2; map<string, string> annotations = 3; }
message MetricsRequest { repeated string filters = 1; }
message MetricsResponse { repeated containerd.types.Metric metrics = 1; }
message WaitRequest { string container_id = 1; string exec_id = 2; }
message WaitResponse { uint32 exit_status = 1; google.protobuf.Timestamp exited_at = 2; }`,
];
