import type { Empty, Timestamp, Unary } from './api-common.ts';

/** A hold on what is being made, so that garbage collection leaves it alone until something refers to it. */
export interface Lease {
  id: string;
  createdAt: Timestamp | null;
  labels: Record<string, string>;
}

/** What a lease holds: `content` and a digest, `snapshots/overlayfs` and a key. */
export interface LeaseResource {
  id: string;
  type: string;
}

export interface LeasesApi {
  create: Unary<{ id: string; labels: Record<string, string> }, { lease: Lease }>;
  delete: Unary<{ id: string; sync: boolean }, Empty>;
  list: Unary<{ filters: string[] }, { leases: Lease[] }>;
  addResource: Unary<{ id: string; resource: LeaseResource }, Empty>;
  deleteResource: Unary<{ id: string; resource: LeaseResource }, Empty>;
  listResources: Unary<{ id: string }, { resources: LeaseResource[] }>;
}

export const leasesProto = `syntax = "proto3";
package containerd.services.leases.v1;
service Leases {
  rpc Create(CreateRequest) returns (CreateResponse);
  rpc Delete(DeleteRequest) returns (google.protobuf.Empty);
  rpc List(ListRequest) returns (ListResponse);
  rpc AddResource(AddResourceRequest) returns (google.protobuf.Empty);
  rpc DeleteResource(DeleteResourceRequest) returns (google.protobuf.Empty);
  rpc ListResources(ListResourcesRequest) returns (ListResourcesResponse);
}
message Lease { string id = 1; google.protobuf.Timestamp created_at = 2; map<string, string> labels = 3; }
message CreateRequest { string id = 1; map<string, string> labels = 3; }
message CreateResponse { Lease lease = 1; }
message DeleteRequest { string id = 1; bool sync = 2; }
message ListRequest { repeated string filters = 1; }
message ListResponse { repeated Lease leases = 1; }
message Resource { string id = 1; string type = 2; }
message AddResourceRequest { string id = 1; Resource resource = 2; }
message DeleteResourceRequest { string id = 1; Resource resource = 2; }
message ListResourcesRequest { string id = 1; }
message ListResourcesResponse { repeated Resource resources = 1; }`;
