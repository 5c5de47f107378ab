import type { Empty, Platform, Unary } from './api-common.ts';

/** A part of the server: `io.containerd.snapshotter.v1` `overlayfs`. */
export interface Plugin {
  type: string;
  id: string;
  requires: string[];
  platforms: Platform[];
  exports: Record<string, string>;
  capabilities: string[];
  initErr: { code: number; message: string } | null;
}

export interface IntrospectionApi {
  plugins: Unary<{ filters: string[] }, { plugins: Plugin[] }>;
  /** The id that the server gave itself when its root was made. */
  server: Unary<Empty, { uuid: string }>;
}

export interface VersionApi {
  version: Unary<Empty, { version: string; revision: string }>;
}

export const introspectionProtos = [
  `syntax = "proto3";
package containerd.services.introspection.v1;
service Introspection {
  rpc Plugins(PluginsRequest) returns (PluginsResponse);
  rpc Server(google.protobuf.Empty) returns (ServerResponse);
}
message Plugin {
  string type = 1;
  string id = 2;
  repeated string requires = 3;
  repeated containerd.types.Platform platforms = 4;
  map<string, string> exports = 5;
  repeated string capabilities = 6;
  google.rpc.Status init_err = 7;
}
message PluginsRequest { repeated string filters = 1; }
message PluginsResponse { repeated Plugin plugins = 1; }
message ServerResponse { string uuid = 1; }`,

  `syntax = "proto3";
package containerd.services.version.v1;
service Version { rpc Version(google.protobuf.Empty) returns (VersionResponse); }
message VersionResponse { string version = 1; string revision = 2; }`,
];
