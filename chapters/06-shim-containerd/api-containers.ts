import type { Any, Empty, FieldMask, ServerStream, Timestamp, Unary } from './api-common.ts';

/**
 * What is known of a container while nothing runs: a record. What runs is its task (api-tasks.ts).
 */
export interface Container {
  id: string;
  labels: Record<string, string>;
  /** The image's name; only noted. */
  image: string;
  /** The runtime's name, `io.containerd.runc.v2`, and options for its shim. */
  runtime: { name: string; options: Any | null } | null;
  /** The OCI runtime spec as JSON, under `types.containerd.io/opencontainers/runtime-spec/1/Spec`: becomes config.json. */
  spec: Any | null;
  snapshotter: string;
  /** The writable snapshot that is the container's root. */
  snapshotKey: string;
  createdAt: Timestamp | null;
  updatedAt: Timestamp | null;
  /** Whatever a client wants to keep with the container. */
  extensions: Record<string, Any>;
}

export interface ContainersApi {
  get: Unary<{ id: string }, { container: Container }>;
  list: Unary<{ filters: string[] }, { containers: Container[] }>;
  listStream: ServerStream<{ filters: string[] }, { container: Container }>;
  create: Unary<{ container: Container }, { container: Container }>;
  update: Unary<{ container: Container; updateMask: FieldMask | null }, { container: Container }>;
  delete: Unary<{ id: string }, Empty>;
}

export const containersProto = `syntax = "proto3";
package containerd.services.containers.v1;
service Containers {
  rpc Get(GetContainerRequest) returns (GetContainerResponse);
  rpc List(ListContainersRequest) returns (ListContainersResponse);
  rpc ListStream(ListContainersRequest) returns (stream ListContainerMessage);
  rpc Create(CreateContainerRequest) returns (CreateContainerResponse);
  rpc Update(UpdateContainerRequest) returns (UpdateContainerResponse);
  rpc Delete(DeleteContainerRequest) returns (google.protobuf.Empty);
}
message Container {
  message Runtime { string name = 1; google.protobuf.Any options = 2; }
  string id = 1;
  map<string, string> labels = 2;
  string image = 3;
  Runtime runtime = 4;
  google.protobuf.Any spec = 5;
  string snapshotter = 6;
  string snapshot_key = 7;
  google.protobuf.Timestamp created_at = 8;
  google.protobuf.Timestamp updated_at = 9;
  map<string, google.protobuf.Any> extensions = 10;
}
message GetContainerRequest { string id = 1; }
message GetContainerResponse { Container container = 1; }
message ListContainersRequest { repeated string filters = 1; }
message ListContainersResponse { repeated Container containers = 1; }
message ListContainerMessage { Container container = 1; }
message CreateContainerRequest { Container container = 1; }
message CreateContainerResponse { Container container = 1; }
message UpdateContainerRequest { Container container = 1; google.protobuf.FieldMask update_mask = 2; }
message UpdateContainerResponse { Container container = 1; }
message DeleteContainerRequest { string id = 1; }`;
