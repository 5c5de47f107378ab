import type { Any, Descriptor, Mount, Unary } from './api-common.ts';

export interface DiffApi {
  /** Unpacks a layer over mounts; answers with the descriptor of the unpacked tar: its digest is the diff id. */
  apply: Unary<
    { diff: Descriptor | null; mounts: Mount[]; payloads: Record<string, Any> },
    { applied: Descriptor }
  >;
  /** Makes a layer out of what `right` has more than `left`, and puts it into the content store. */
  diff: Unary<
    { left: Mount[]; right: Mount[]; mediaType: string; ref: string; labels: Record<string, string> },
    { diff: Descriptor }
  >;
}

export const diffProto = `syntax = "proto3";
package containerd.services.diff.v1;
service Diff {
  rpc Apply(ApplyRequest) returns (ApplyResponse);
  rpc Diff(DiffRequest) returns (DiffResponse);
}
message ApplyRequest {
  containerd.types.Descriptor diff = 1;
  repeated containerd.types.Mount mounts = 2;
  map<string, google.protobuf.Any> payloads = 3;
}
message ApplyResponse { containerd.types.Descriptor applied = 1; }
message DiffRequest {
  repeated containerd.types.Mount left = 1;
  repeated containerd.types.Mount right = 2;
  string media_type = 3;
  string ref = 4;
  map<string, string> labels = 5;
}
message DiffResponse { containerd.types.Descriptor diff = 3; }`;
