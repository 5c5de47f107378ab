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
export * from './task-api.ts';
export {
  openJournal,
  readJournal,
  type JournalRecord,
  type JournalStream,
  type JournalWriter,
  type ReadJournalOptions,
} from './journal.ts';
