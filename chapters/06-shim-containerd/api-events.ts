import type { Any, Empty, Mount, ServerStream, Timestamp, Unary } from './api-common.ts';

/** Something that happened: `/tasks/exit`, and the message that says what. */
export interface Envelope {
  timestamp: Timestamp | null;
  namespace: string;
  topic: string;
  event: Any | null;
}

export interface EventsApi {
  /** Tells of something that the client did; the server adds the time and the namespace. */
  publish: Unary<{ topic: string; event: Any | null }, Empty>;
  /** Passes on what happened elsewhere, as it is. */
  forward: Unary<{ envelope: Envelope | null }, Empty>;
  /** From now on, until the client closes. Filters are alternatives: `topic~="^/tasks/"`, `namespace==x,topic==/tasks/exit`. */
  subscribe: ServerStream<{ filters: string[] }, Envelope>;
}

/** What the events say: the type's name in `containerd.events`, and its fields. */
export interface EventTypes {
  TaskCreate: {
    containerId: string;
    bundle: string;
    rootfs: Mount[];
    io: { stdin: string; stdout: string; stderr: string; terminal: boolean } | null;
    checkpoint: string;
    pid: number;
  };
  TaskStart: { containerId: string; pid: number };
  TaskDelete: {
    containerId: string;
    pid: number;
    exitStatus: number;
    exitedAt: Timestamp | null;
    /** The process: the container's id, or an exec's. */
    id: string;
  };
  TaskExit: { containerId: string; id: string; pid: number; exitStatus: number; exitedAt: Timestamp | null };
  TaskOOM: { containerId: string };
  TaskExecAdded: { containerId: string; execId: string };
  TaskExecStarted: { containerId: string; execId: string; pid: number };
  TaskPaused: { containerId: string };
  TaskResumed: { containerId: string };
  TaskCheckpointed: { containerId: string; checkpoint: string };
  ContainerCreate: { id: string; image: string; runtime: { name: string; options: Any | null } | null };
  ContainerUpdate: { id: string; image: string; labels: Record<string, string>; snapshotKey: string };
  ContainerDelete: { id: string };
  ContentDelete: { digest: string };
  NamespaceCreate: { name: string; labels: Record<string, string> };
  NamespaceUpdate: { name: string; labels: Record<string, string> };
  NamespaceDelete: { name: string };
  SnapshotPrepare: { key: string; parent: string };
  SnapshotCommit: { key: string; name: string };
  SnapshotRemove: { key: string };
}

export const eventsProtos = [
  `syntax = "proto3";
package containerd.services.events.v1;
service Events {
  rpc Publish(PublishRequest) returns (google.protobuf.Empty);
  rpc Forward(ForwardRequest) returns (google.protobuf.Empty);
  rpc Subscribe(SubscribeRequest) returns (stream Envelope);
}
message PublishRequest { string topic = 1; google.protobuf.Any event = 2; }
message ForwardRequest { Envelope envelope = 1; }
message SubscribeRequest { repeated string filters = 1; }
message Envelope {
  google.protobuf.Timestamp timestamp = 1;
  string namespace = 2;
  string topic = 3;
  google.protobuf.Any event = 4;
}`,

  `syntax = "proto3";
package containerd.events;
message TaskIO { string stdin = 1; string stdout = 2; string stderr = 3; bool terminal = 4; }
message TaskCreate {
  string container_id = 1;
  string bundle = 2;
  repeated containerd.types.Mount rootfs = 3;
  TaskIO io = 4;
  string checkpoint = 5;
  uint32 pid = 6;
}
message TaskStart { string container_id = 1; uint32 pid = 2; }
message TaskDelete {
  string container_id = 1;
  uint32 pid = 2;
  uint32 exit_status = 3;
  google.protobuf.Timestamp exited_at = 4;
  string id = 5;
}
message TaskExit {
  string container_id = 1;
  string id = 2;
  uint32 pid = 3;
  uint32 exit_status = 4;
  google.protobuf.Timestamp exited_at = 5;
}
message TaskOOM { string container_id = 1; }
message TaskExecAdded { string container_id = 1; string exec_id = 2; }
message TaskExecStarted { string container_id = 1; string exec_id = 2; uint32 pid = 3; }
message TaskPaused { string container_id = 1; }
message TaskResumed { string container_id = 1; }
message TaskCheckpointed { string container_id = 1; string checkpoint = 2; }
message ContainerCreate {
  message Runtime { string name = 1; google.protobuf.Any options = 2; }
  string id = 1;
  string image = 2;
  Runtime runtime = 3;
}
message ContainerUpdate { string id = 1; string image = 2; map<string, string> labels = 3; string snapshot_key = 4; }
message ContainerDelete { string id = 1; }
message ContentDelete { string digest = 1; }
message NamespaceCreate { string name = 1; map<string, string> labels = 2; }
message NamespaceUpdate { string name = 1; map<string, string> labels = 2; }
message NamespaceDelete { string name = 1; }
message SnapshotPrepare { string key = 1; string parent = 2; }
message SnapshotCommit { string key = 1; string name = 2; }
message SnapshotRemove { string key = 1; }`,

  `syntax = "proto3";
package containerd.runc.v1;
message Options {
  bool no_pivot_root = 1;
  bool no_new_keyring = 2;
  string shim_cgroup = 3;
  uint32 io_uid = 4;
  uint32 io_gid = 5;
  string binary_name = 6;
  string root = 7;
  string criu_path = 8;
  bool systemd_cgroup = 9;
  string criu_image_path = 10;
  string criu_work_path = 11;
}`,
];
