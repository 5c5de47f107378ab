export {
  lazyProtos,
  encode,
  decode,
  toTimestamp,
  fromTimestamp,
  GO_ZERO_TIME,
  type Any,
  type Timestamp,
} from './protobuf.ts';
export {
  connectTtrpc,
  serveTtrpc,
  TtrpcError,
  CODE,
  type CallContext,
  type CallOptions,
  type ServiceFunctions,
  type TtrpcConnection,
} from './ttrpc.ts';
export { NODE_FLAGS as SHIM_NODE_FLAGS } from './shim-start.ts';
export * from './task-api.ts';
export {
  openJournal,
  readJournal,
  type JournalRecord,
  type JournalStream,
  type JournalWriter,
  type ReadJournalOptions,
} from './journal.ts';
export { connectContainerd, type ContainerdClient, type CallOptions as GrpcCallOptions } from './client.ts';
export { GrpcError, isGrpcError, codeName, CODES } from './grpc-errors.ts';
export {
  anyJson,
  decodeEvent,
  decodeMessage,
  encodeMessage,
  eventAny,
  jsonAny,
  OCI_TYPES,
  runcOptions,
  type Api,
  type Event,
} from './api.ts';
export type { Descriptor, Input, Metric, Mount, Platform } from './api-common.ts';
export type { Container } from './api-containers.ts';
export type { Process, TaskStatus } from './api-tasks.ts';
export type { Image } from './api-images.ts';
export type { ContentInfo, ContentStatus } from './api-content.ts';
export type { SnapshotInfo } from './api-snapshots.ts';
export type { Envelope as EventEnvelope, EventTypes } from './api-events.ts';
