import type { Duplex, Empty, FieldMask, ServerStream, Timestamp, Unary } from './api-common.ts';

/** A blob: named by the digest of its bytes. Labels `containerd.io/gc.ref.*` say which others it needs. */
export interface ContentInfo {
  digest: string;
  /** bytes */
  size: number;
  createdAt: Timestamp | null;
  updatedAt: Timestamp | null;
  labels: Record<string, string>;
}

/** A write under way, under a name that the writer chose, so that it can be resumed. */
export interface ContentStatus {
  startedAt: Timestamp | null;
  updatedAt: Timestamp | null;
  ref: string;
  /** bytes there so far */
  offset: number;
  /** bytes expected; 0 if unknown */
  total: number;
  expected: string;
}

export type WriteAction = 'STAT' | 'WRITE' | 'COMMIT';

export interface WriteContentRequest {
  action: WriteAction;
  /** Needed in the first message alone. */
  ref: string;
  total: number;
  expected: string;
  /** Where `data` begins: what has been written so far, or 0 to begin anew. */
  offset: number;
  data: Uint8Array;
  labels: Record<string, string>;
}

export interface WriteContentResponse {
  action: WriteAction;
  startedAt: Timestamp | null;
  updatedAt: Timestamp | null;
  offset: number;
  total: number;
  digest: string;
}

export interface ContentApi {
  info: Unary<{ digest: string }, { info: ContentInfo }>;
  update: Unary<{ info: ContentInfo; updateMask: FieldMask | null }, { info: ContentInfo }>;
  list: ServerStream<{ filters: string[] }, { info: ContentInfo[] }>;
  delete: Unary<{ digest: string }, Empty>;
  read: ServerStream<{ digest: string; offset: number; size: number }, { offset: number; data: Buffer }>;
  status: Unary<{ ref: string }, { status: ContentStatus }>;
  listStatuses: Unary<{ filters: string[] }, { statuses: ContentStatus[] }>;
  write: Duplex<WriteContentRequest, WriteContentResponse>;
  abort: Unary<{ ref: string }, Empty>;
}

export const contentProto = `syntax = "proto3";
package containerd.services.content.v1;
service Content {
  rpc Info(InfoRequest) returns (InfoResponse);
  rpc Update(UpdateRequest) returns (UpdateResponse);
  rpc List(ListContentRequest) returns (stream ListContentResponse);
  rpc Delete(DeleteContentRequest) returns (google.protobuf.Empty);
  rpc Read(ReadContentRequest) returns (stream ReadContentResponse);
  rpc Status(StatusRequest) returns (StatusResponse);
  rpc ListStatuses(ListStatusesRequest) returns (ListStatusesResponse);
  rpc Write(stream WriteContentRequest) returns (stream WriteContentResponse);
  rpc Abort(AbortRequest) returns (google.protobuf.Empty);
}
message Info {
  string digest = 1;
  int64 size = 2;
  google.protobuf.Timestamp created_at = 3;
  google.protobuf.Timestamp updated_at = 4;
  map<string, string> labels = 5;
}
message InfoRequest { string digest = 1; }
message InfoResponse { Info info = 1; }
message UpdateRequest { Info info = 1; google.protobuf.FieldMask update_mask = 2; }
message UpdateResponse { Info info = 1; }
message ListContentRequest { repeated string filters = 1; }
message ListContentResponse { repeated Info info = 1; }
message DeleteContentRequest { string digest = 1; }
message ReadContentRequest { string digest = 1; int64 offset = 2; int64 size = 3; }
message ReadContentResponse { int64 offset = 1; bytes data = 2; }
message Status {
  google.protobuf.Timestamp started_at = 1;
  google.protobuf.Timestamp updated_at = 2;
  string ref = 3;
  int64 offset = 4;
  int64 total = 5;
  string expected = 6;
}
message StatusRequest { string ref = 1; }
message StatusResponse { Status status = 1; }
message ListStatusesRequest { repeated string filters = 1; }
message ListStatusesResponse { repeated Status statuses = 1; }
enum WriteAction { STAT = 0; WRITE = 1; COMMIT = 2; }
message WriteContentRequest {
  WriteAction action = 1;
  string ref = 2;
  int64 total = 3;
  string expected = 4;
  int64 offset = 5;
  bytes data = 6;
  map<string, string> labels = 7;
}
message WriteContentResponse {
  WriteAction action = 1;
  google.protobuf.Timestamp started_at = 2;
  google.protobuf.Timestamp updated_at = 3;
  int64 offset = 4;
  int64 total = 5;
  string digest = 6;
}
message AbortRequest { string ref = 1; }`;
