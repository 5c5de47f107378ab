import type { Any, Timestamp } from './protobuf.ts';

export type { Any, Timestamp };

/** A call with one request and one answer. */
export interface Unary<Request, Response> {
  kind: 'unary';
  request: Request;
  response: Response;
}
/** A call with one request and any number of answers. */
export interface ServerStream<Request, Response> {
  kind: 'server-stream';
  request: Request;
  response: Response;
}
/** A call in which both sides send when they like. */
export interface Duplex<Request, Response> {
  kind: 'duplex';
  request: Request;
  response: Response;
}

/** A message as one writes it: every field may be left out, and is then what protobuf says: 0, "", empty, unset. */
export type Input<T> = T extends Uint8Array
  ? Uint8Array
  : T extends (infer Item)[]
    ? Input<Item>[]
    : T extends object
      ? { [K in keyof T]?: Input<T[K]> | undefined }
      : T;

/** A message without fields. */
export type Empty = Record<never, never>;
/** Which fields an update is to change: `labels`, `labels.some/key`, … */
export interface FieldMask {
  paths: string[];
}
/** What names a blob: its kind, its digest, its size in bytes. The OCI image spec's descriptor. */
export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  annotations: Record<string, string>;
}
/** A mount to be made, as mount(2) takes it, its options as in fstab(5). */
export interface Mount {
  type: string;
  source: string;
  target: string;
  options: string[];
}
export interface Platform {
  os: string;
  architecture: string;
  variant: string;
}
/** One container's numbers: `data` is cgroup v1's or v2's metrics. */
export interface Metric {
  timestamp: Timestamp | null;
  id: string;
  data: Any | null;
}

/** What the services share, beyond what shims use too (shim-protos.ts). */
export const commonProtos = [
  `syntax = "proto3";
package google.protobuf;
message FieldMask { repeated string paths = 1; }`,

  `syntax = "proto3";
package google.rpc;
message Status { int32 code = 1; string message = 2; repeated google.protobuf.Any details = 3; }`,

  `syntax = "proto3";
package containerd.types;
message Descriptor { string media_type = 1; string digest = 2; int64 size = 3; map<string, string> annotations = 5; }
message Platform { string os = 1; string architecture = 2; string variant = 3; }
message Metric { google.protobuf.Timestamp timestamp = 1; string id = 2; google.protobuf.Any data = 3; }`,
];
