import type { Descriptor, Empty, FieldMask, Timestamp, Unary } from './api-common.ts';

/** A name for a manifest or an index: `docker.io/library/busybox:latest`. The bytes are in the content store. */
export interface Image {
  name: string;
  labels: Record<string, string>;
  target: Descriptor | null;
  createdAt: Timestamp | null;
  updatedAt: Timestamp | null;
}

export interface ImagesApi {
  get: Unary<{ name: string }, { image: Image }>;
  list: Unary<{ filters: string[] }, { images: Image[] }>;
  create: Unary<{ image: Image }, { image: Image }>;
  update: Unary<{ image: Image; updateMask: FieldMask | null }, { image: Image }>;
  delete: Unary<{ name: string; sync: boolean }, Empty>;
}

export const imagesProto = `syntax = "proto3";
package containerd.services.images.v1;
service Images {
  rpc Get(GetImageRequest) returns (GetImageResponse);
  rpc List(ListImagesRequest) returns (ListImagesResponse);
  rpc Create(CreateImageRequest) returns (CreateImageResponse);
  rpc Update(UpdateImageRequest) returns (UpdateImageResponse);
  rpc Delete(DeleteImageRequest) returns (google.protobuf.Empty);
}
message Image {
  string name = 1;
  map<string, string> labels = 2;
  containerd.types.Descriptor target = 3;
  google.protobuf.Timestamp created_at = 7;
  google.protobuf.Timestamp updated_at = 8;
}
message GetImageRequest { string name = 1; }
message GetImageResponse { Image image = 1; }
message ListImagesRequest { repeated string filters = 1; }
message ListImagesResponse { repeated Image images = 1; }
message CreateImageRequest { Image image = 1; }
message CreateImageResponse { Image image = 1; }
message UpdateImageRequest { Image image = 1; google.protobuf.FieldMask update_mask = 2; }
message UpdateImageResponse { Image image = 1; }
message DeleteImageRequest { string name = 1; bool sync = 2; }
message ImageCreate { string name = 1; map<string, string> labels = 2; }
message ImageUpdate { string name = 1; map<string, string> labels = 2; }
message ImageDelete { string name = 1; }`;
