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

/** What the events say, by the names of their types. Those of tasks are written by shims: shim-protos.ts. */
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
  ImageCreate: { name: string; labels: Record<string, string> };
  ImageUpdate: { name: string; labels: Record<string, string> };
  ImageDelete: { name: string };
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
];
