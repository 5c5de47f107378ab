import protobuf from 'protobufjs';

/**
 * Messages and services from the text of .proto files, read when they are first asked for. All texts go into one root, so their
 * order and `import` lines do not matter. Fields get camelCase names: `exec_id` is `execId`.
 */
export function lazyProtos(...texts: readonly string[]): () => protobuf.Root {
  let root: protobuf.Root | undefined;
  return () => {
    if (root) return root;
    root = new protobuf.Root();
    for (const text of texts) protobuf.parse(text, root);
    root.resolveAll();
    return root;
  };
}

/** The bytes of a message, from a plain object. What is left out has its default value and takes no bytes. */
export function encode(type: protobuf.Type, message: object): Buffer {
  return Buffer.from(type.encode(type.fromObject(message)).finish());
}

/**
 * A message as a plain object. A field that was not sent has its default value; a message within that was not sent is null.
 * 64-bit numbers become numbers (exact up to 2^53), bytes become Buffers.
 * @throws Error when the bytes are no such message
 */
export function decode<T extends object>(type: protobuf.Type, bytes: Uint8Array): T {
  return type.toObject(type.decode(bytes), { defaults: true, longs: Number, bytes: Buffer }) as T;
}

/** A point in time as protobuf has it (google.protobuf.Timestamp). */
export interface Timestamp {
  /** Seconds since 1970. Go's zero time is -62135596800. */
  seconds: number;
  /** 0 to 999,999,999 */
  nanos: number;
}

export function toTimestamp(date: Date): Timestamp {
  const milliseconds = date.getTime();
  const seconds = Math.floor(milliseconds / 1000);
  return { seconds, nanos: (milliseconds - seconds * 1000) * 1e6 };
}

/** undefined for Go's zero time, which says "not yet". */
export function fromTimestamp(timestamp: Timestamp | null | undefined): Date | undefined {
  if (!timestamp || timestamp.seconds === GO_ZERO_SECONDS) return undefined;
  return new Date(timestamp.seconds * 1000 + timestamp.nanos / 1e6);
}

const GO_ZERO_SECONDS = -62135596800;

/** What Go sends for a time that was never set. */
export const GO_ZERO_TIME: Timestamp = { seconds: GO_ZERO_SECONDS, nanos: 0 };

/** A message of any type, with its type's name (google.protobuf.Any). */
export interface Any {
  typeUrl: string;
  value: Uint8Array;
}
