import type { Empty, FieldMask, Mount, ServerStream, Timestamp, Unary } from './api-common.ts';

export type SnapshotKind = 'UNKNOWN' | 'VIEW' | 'ACTIVE' | 'COMMITTED';

/** A file tree, a difference to its parent: committed (a layer, named by its chain id) or active (a container's own). */
export interface SnapshotInfo {
  name: string;
  parent: string;
  kind: SnapshotKind;
  createdAt: Timestamp | null;
  updatedAt: Timestamp | null;
  labels: Record<string, string>;
}

interface NewSnapshot {
  snapshotter: string;
  key: string;
  parent: string;
  labels: Record<string, string>;
}

interface SnapshotRef {
  snapshotter: string;
  key: string;
}

export interface SnapshotsApi {
  prepare: Unary<NewSnapshot, { mounts: Mount[] }>;
  view: Unary<NewSnapshot, { mounts: Mount[] }>;
  mounts: Unary<SnapshotRef, { mounts: Mount[] }>;
  commit: Unary<SnapshotRef & { name: string; labels: Record<string, string> }, Empty>;
  remove: Unary<SnapshotRef, Empty>;
  stat: Unary<SnapshotRef, { info: SnapshotInfo }>;
  update: Unary<
    { snapshotter: string; info: SnapshotInfo; updateMask: FieldMask | null },
    { info: SnapshotInfo }
  >;
  list: ServerStream<{ snapshotter: string; filters: string[] }, { info: SnapshotInfo[] }>;
  usage: Unary<SnapshotRef, { size: number; inodes: number }>;
  cleanup: Unary<{ snapshotter: string }, Empty>;
}

export const snapshotsProto = `syntax = "proto3";
package containerd.services.snapshots.v1;
service Snapshots {
  rpc Prepare(PrepareSnapshotRequest) returns (PrepareSnapshotResponse);
  rpc View(ViewSnapshotRequest) returns (ViewSnapshotResponse);
  rpc Mounts(MountsRequest) returns (MountsResponse);
  rpc Commit(CommitSnapshotRequest) returns (google.protobuf.Empty);
  rpc Remove(RemoveSnapshotRequest) returns (google.protobuf.Empty);
  rpc Stat(StatSnapshotRequest) returns (StatSnapshotResponse);
  rpc Update(UpdateSnapshotRequest) returns (UpdateSnapshotResponse);
  rpc List(ListSnapshotsRequest) returns (stream ListSnapshotsResponse);
  rpc Usage(UsageRequest) returns (UsageResponse);
  rpc Cleanup(CleanupRequest) returns (google.protobuf.Empty);
}
message PrepareSnapshotRequest { string snapshotter = 1; string key = 2; string parent = 3; map<string, string> labels = 4; }
message PrepareSnapshotResponse { repeated containerd.types.Mount mounts = 1; }
message ViewSnapshotRequest { string snapshotter = 1; string key = 2; string parent = 3; map<string, string> labels = 4; }
message ViewSnapshotResponse { repeated containerd.types.Mount mounts = 1; }
message MountsRequest { string snapshotter = 1; string key = 2; }
message MountsResponse { repeated containerd.types.Mount mounts = 1; }
message RemoveSnapshotRequest { string snapshotter = 1; string key = 2; }
message CommitSnapshotRequest { string snapshotter = 1; string name = 2; string key = 3; map<string, string> labels = 4; }
message StatSnapshotRequest { string snapshotter = 1; string key = 2; }
enum Kind { UNKNOWN = 0; VIEW = 1; ACTIVE = 2; COMMITTED = 3; }
message Info {
  string name = 1;
  string parent = 2;
  Kind kind = 3;
  google.protobuf.Timestamp created_at = 4;
  google.protobuf.Timestamp updated_at = 5;
  map<string, string> labels = 6;
}
message StatSnapshotResponse { Info info = 1; }
message UpdateSnapshotRequest { string snapshotter = 1; Info info = 2; google.protobuf.FieldMask update_mask = 3; }
message UpdateSnapshotResponse { Info info = 1; }
message ListSnapshotsRequest { string snapshotter = 1; repeated string filters = 2; }
message ListSnapshotsResponse { repeated Info info = 1; }
message UsageRequest { string snapshotter = 1; string key = 2; }
message UsageResponse { int64 size = 1; int64 inodes = 2; }
message CleanupRequest { string snapshotter = 1; }`;
