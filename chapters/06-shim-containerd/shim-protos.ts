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
