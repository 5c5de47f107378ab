import type { Empty, FieldMask, Unary } from './api-common.ts';

/** A room of its own for containers, images and the rest: `default` is ctr's, `moby` is dockerd's, `k8s.io` the kubelet's. */
export interface Namespace {
  name: string;
  labels: Record<string, string>;
}

export interface NamespacesApi {
  get: Unary<{ name: string }, { namespace: Namespace }>;
  list: Unary<{ filter: string }, { namespaces: Namespace[] }>;
  create: Unary<{ namespace: Namespace }, { namespace: Namespace }>;
  update: Unary<{ namespace: Namespace; updateMask: FieldMask | null }, { namespace: Namespace }>;
  delete: Unary<{ name: string }, Empty>;
}

export const namespacesProto = `syntax = "proto3";
package containerd.services.namespaces.v1;
service Namespaces {
  rpc Get(GetNamespaceRequest) returns (GetNamespaceResponse);
  rpc List(ListNamespacesRequest) returns (ListNamespacesResponse);
  rpc Create(CreateNamespaceRequest) returns (CreateNamespaceResponse);
  rpc Update(UpdateNamespaceRequest) returns (UpdateNamespaceResponse);
  rpc Delete(DeleteNamespaceRequest) returns (google.protobuf.Empty);
}
message Namespace { string name = 1; map<string, string> labels = 2; }
message GetNamespaceRequest { string name = 1; }
message GetNamespaceResponse { Namespace namespace = 1; }
message ListNamespacesRequest { string filter = 1; }
message ListNamespacesResponse { repeated Namespace namespaces = 1; }
message CreateNamespaceRequest { Namespace namespace = 1; }
message CreateNamespaceResponse { Namespace namespace = 1; }
message UpdateNamespaceRequest { Namespace namespace = 1; google.protobuf.FieldMask update_mask = 2; }
message UpdateNamespaceResponse { Namespace namespace = 1; }
message DeleteNamespaceRequest { string name = 1; }`;
