/**
 * The messages between containerd and its shims, as in containerd's own .proto files (api/runtime/task/v2/shim.proto,
 * api/services/ttrpc/events/v1/events.proto, api/events/task.proto, runtime/v2/runc/options/oci.proto, and containerd/cgroups'
 * metrics.proto). Packages, names and field numbers are the wire: they cannot be chosen.
 */
export const TASK_PROTO = `
syntax = "proto3";
package containerd.task.v2;

service Task {
  rpc State(StateRequest) returns (StateResponse);
  rpc Create(CreateTaskRequest) returns (CreateTaskResponse);
  rpc Start(StartRequest) returns (StartResponse);
  rpc Delete(DeleteRequest) returns (DeleteResponse);
  rpc Pids(PidsRequest) returns (PidsResponse);
  rpc Pause(PauseRequest) returns (google.protobuf.Empty);
  rpc Resume(ResumeRequest) returns (google.protobuf.Empty);
  rpc Checkpoint(CheckpointTaskRequest) returns (google.protobuf.Empty);
  rpc Kill(KillRequest) returns (google.protobuf.Empty);
  rpc Exec(ExecProcessRequest) returns (google.protobuf.Empty);
  rpc ResizePty(ResizePtyRequest) returns (google.protobuf.Empty);
  rpc CloseIO(CloseIORequest) returns (google.protobuf.Empty);
  rpc Update(UpdateTaskRequest) returns (google.protobuf.Empty);
  rpc Wait(WaitRequest) returns (WaitResponse);
  rpc Stats(StatsRequest) returns (StatsResponse);
  rpc Connect(ConnectRequest) returns (ConnectResponse);
  rpc Shutdown(ShutdownRequest) returns (google.protobuf.Empty);
}

message CreateTaskRequest {
  string id = 1;
  string bundle = 2;
  repeated containerd.types.Mount rootfs = 3;
  bool terminal = 4;
  string stdin = 5;
  string stdout = 6;
  string stderr = 7;
  string checkpoint = 8;
  string parent_checkpoint = 9;
  google.protobuf.Any options = 10;
}
message CreateTaskResponse { uint32 pid = 1; }
message StartRequest { string id = 1; string exec_id = 2; }
message StartResponse { uint32 pid = 1; }
message DeleteRequest { string id = 1; string exec_id = 2; }
message DeleteResponse {
  uint32 pid = 1;
  uint32 exit_status = 2;
  google.protobuf.Timestamp exited_at = 3;
}
message ExecProcessRequest {
  string id = 1;
  string exec_id = 2;
  bool terminal = 3;
  string stdin = 4;
  string stdout = 5;
  string stderr = 6;
  google.protobuf.Any spec = 7;
}
message StateRequest { string id = 1; string exec_id = 2; }
message StateResponse {
  string id = 1;
  string bundle = 2;
  uint32 pid = 3;
  containerd.v1.types.Status status = 4;
  string stdin = 5;
  string stdout = 6;
  string stderr = 7;
  bool terminal = 8;
  uint32 exit_status = 9;
  google.protobuf.Timestamp exited_at = 10;
  string exec_id = 11;
}
message KillRequest { string id = 1; string exec_id = 2; uint32 signal = 3; bool all = 4; }
message ResizePtyRequest { string id = 1; string exec_id = 2; uint32 width = 3; uint32 height = 4; }
message CloseIORequest { string id = 1; string exec_id = 2; bool stdin = 3; }
message WaitRequest { string id = 1; string exec_id = 2; }
message WaitResponse { uint32 exit_status = 1; google.protobuf.Timestamp exited_at = 2; }
message PidsRequest { string id = 1; }
message PidsResponse { repeated containerd.v1.types.ProcessInfo processes = 1; }
message PauseRequest { string id = 1; }
message ResumeRequest { string id = 1; }
message CheckpointTaskRequest { string id = 1; string path = 2; google.protobuf.Any options = 3; }
message UpdateTaskRequest {
  string id = 1;
  google.protobuf.Any resources = 2;
  map<string, string> annotations = 3;
}
message StatsRequest { string id = 1; }
message StatsResponse { google.protobuf.Any stats = 1; }
message ConnectRequest { string id = 1; }
message ConnectResponse { uint32 shim_pid = 1; uint32 task_pid = 2; string version = 3; }
message ShutdownRequest { string id = 1; bool now = 2; }
`;

/** How a shim hands its events to containerd. */
export const TTRPC_EVENTS_PROTO = `
syntax = "proto3";
package containerd.services.events.ttrpc.v1;

service Events {
  rpc Forward(ForwardRequest) returns (google.protobuf.Empty);
}
message ForwardRequest { Envelope envelope = 1; }
message Envelope {
  google.protobuf.Timestamp timestamp = 1;
  string namespace = 2;
  string topic = 3;
  google.protobuf.Any event = 4;
}
`;

export const TASK_EVENTS_PROTO = `
syntax = "proto3";
package containerd.events;

message TaskCreate {
  string container_id = 1;
  string bundle = 2;
  repeated containerd.types.Mount rootfs = 3;
  TaskIO io = 4;
  string checkpoint = 5;
  uint32 pid = 6;
}
message TaskIO { string stdin = 1; string stdout = 2; string stderr = 3; bool terminal = 4; }
message TaskStart { string container_id = 1; uint32 pid = 2; }
message TaskExit {
  string container_id = 1;
  string id = 2;
  uint32 pid = 3;
  uint32 exit_status = 4;
  google.protobuf.Timestamp exited_at = 5;
}
message TaskDelete {
  string container_id = 1;
  uint32 pid = 2;
  uint32 exit_status = 3;
  google.protobuf.Timestamp exited_at = 4;
  string id = 5;
}
message TaskOOM { string container_id = 1; }
message TaskExecAdded { string container_id = 1; string exec_id = 2; }
message TaskExecStarted { string container_id = 1; string exec_id = 2; uint32 pid = 3; }
message TaskPaused { string container_id = 1; }
message TaskResumed { string container_id = 1; }
`;

export const RUNC_OPTIONS_PROTO = `
syntax = "proto3";
package containerd.runc.v1;

message Options {
  bool no_pivot_root = 1;
  bool no_new_keyring = 2;
  string shim_cgroup = 3;
  uint32 io_uid = 4;
  uint32 io_gid = 5;
  string binary_name = 6;
  string root = 7;
  bool systemd_cgroup = 9;
  string criu_image_path = 10;
  string criu_work_path = 11;
}
message ProcessDetails { string exec_id = 1; }
`;

/** What Stats answers: one message for hosts with cgroup v1, one for v2. Only fields that are filled in. */
export const METRICS_PROTOS = [
  `
syntax = "proto3";
package io.containerd.cgroups.v1;

message Metrics {
  PidsStat pids = 2;
  CPUStat cpu = 3;
  MemoryStat memory = 4;
  BlkIOStat blkio = 5;
  MemoryOomControl memory_oom_control = 9;
}
message PidsStat { uint64 current = 1; uint64 limit = 2; }
message CPUStat { CPUUsage usage = 1; Throttle throttling = 2; }
message CPUUsage { uint64 total = 1; uint64 kernel = 2; uint64 user = 3; repeated uint64 per_cpu = 4; }
message Throttle { uint64 periods = 1; uint64 throttled_periods = 2; uint64 throttled_time = 3; }
message MemoryStat {
  uint64 cache = 1;
  uint64 rss = 2;
  uint64 mapped_file = 4;
  uint64 pg_fault = 9;
  uint64 pg_maj_fault = 10;
  uint64 inactive_anon = 11;
  uint64 active_anon = 12;
  uint64 inactive_file = 13;
  uint64 active_file = 14;
  uint64 unevictable = 15;
  uint64 total_cache = 18;
  uint64 total_rss = 19;
  uint64 total_inactive_anon = 28;
  uint64 total_active_anon = 29;
  uint64 total_inactive_file = 30;
  uint64 total_active_file = 31;
  MemoryEntry usage = 33;
  MemoryEntry swap = 34;
}
message MemoryEntry { uint64 limit = 1; uint64 usage = 2; uint64 max = 3; uint64 failcnt = 4; }
message BlkIOStat {
  repeated BlkIOEntry io_service_bytes_recursive = 1;
  repeated BlkIOEntry io_serviced_recursive = 2;
}
message BlkIOEntry { string op = 1; string device = 2; uint64 major = 3; uint64 minor = 4; uint64 value = 5; }
message MemoryOomControl { uint64 oom_kill_disable = 1; uint64 under_oom = 2; uint64 oom_kill = 3; }
`,
  `
syntax = "proto3";
package io.containerd.cgroups.v2;

message Metrics {
  PidsStat pids = 1;
  CPUStat cpu = 2;
  MemoryStat memory = 4;
  IOStat io = 6;
  MemoryEvents memory_events = 8;
}
message PidsStat { uint64 current = 1; uint64 limit = 2; }
message CPUStat {
  uint64 usage_usec = 1;
  uint64 user_usec = 2;
  uint64 system_usec = 3;
  uint64 nr_periods = 4;
  uint64 nr_throttled = 5;
  uint64 throttled_usec = 6;
}
message MemoryStat {
  uint64 anon = 1;
  uint64 file = 2;
  uint64 kernel_stack = 3;
  uint64 slab = 4;
  uint64 sock = 5;
  uint64 shmem = 6;
  uint64 file_mapped = 7;
  uint64 file_dirty = 8;
  uint64 file_writeback = 9;
  uint64 inactive_anon = 11;
  uint64 active_anon = 12;
  uint64 inactive_file = 13;
  uint64 active_file = 14;
  uint64 unevictable = 15;
  uint64 pgfault = 18;
  uint64 pgmajfault = 19;
  uint64 usage = 32;
  uint64 usage_limit = 33;
  uint64 swap_usage = 34;
  uint64 swap_limit = 35;
  uint64 max_usage = 36;
}
message IOStat { repeated IOEntry usage = 1; }
message IOEntry { uint64 major = 1; uint64 minor = 2; uint64 rbytes = 3; uint64 wbytes = 4; uint64 rios = 5; uint64 wios = 6; }
message MemoryEvents { uint64 max = 3; uint64 oom_kill = 5; }
`,
] as const;

/** What containerd's packages share, and the three of Google's that they use. */
export const COMMON_PROTOS = [
  `
syntax = "proto3";
package containerd.types;
message Mount {
  string type = 1;
  string source = 2;
  string target = 3;
  repeated string options = 4;
}
`,
  `
syntax = "proto3";
package containerd.v1.types;
enum Status {
  UNKNOWN = 0;
  CREATED = 1;
  RUNNING = 2;
  STOPPED = 3;
  PAUSED = 4;
  PAUSING = 5;
}
message ProcessInfo { uint32 pid = 1; google.protobuf.Any info = 2; }
`,
  `
syntax = "proto3";
package google.protobuf;
message Any { string type_url = 1; bytes value = 2; }
message Empty {}
message Timestamp { int64 seconds = 1; int32 nanos = 2; }
`,
] as const;
