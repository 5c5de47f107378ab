import { connect, type Server, type Socket } from 'node:net';
import type protobuf from 'protobufjs';
import { decode, encode, lazyProtos } from './protobuf.ts';
import { encodeFrame, FRAME, frameDecoder } from './ttrpc-frame.ts';

/** Status codes, the same as gRPC's. Source: google/rpc/code.proto. */
export const CODE = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
} as const;

/** A call that was answered with a status other than OK, or not at all. Thrown by a handler, it becomes that answer. */
export class TtrpcError extends Error {
  override readonly name = 'TtrpcError';
  /** One of CODE. */
  readonly code: number;
  constructor(code: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What comes with a request beside the message. */
export interface CallContext {
  metadata: Record<string, string>;
}

/** A service as functions: `{ create(request) …, start(request) … }`. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- each service names the types of its messages
export type ServiceFunctions = Record<string, (request: any, context: CallContext) => Promise<object>>;

export interface TtrpcConnection {
  /** The service's methods as functions that make calls, in lower camelCase: `State` is `state`. */
  client<T>(service: protobuf.Service, options?: CallOptions): T;
  /** Ends the connection; calls without an answer are rejected. */
  close(): void;
  /** Settles when the connection has ended, whoever ended it. */
  readonly closed: Promise<void>;
}

export interface CallOptions {
  metadata?: Record<string, string>;
  /** milliseconds; none: wait for ever */
  timeout?: number;
}

/**
 * Connects to a ttrpc server on a unix socket. Calls run side by side; each is answered when it is done.
 * @param address a path, with or without `unix://`
 * @throws Node's socket error (ENOENT, ECONNREFUSED: no one listens there)
 */
export async function connectTtrpc(address: string): Promise<TtrpcConnection> {
  const socket = connect(address.replace(/^unix:\/\//, ''));
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return overSocket(socket);
}

interface Pending {
  resolve(payload: Uint8Array): void;
  reject(error: Error): void;
}

function overSocket(socket: Socket): TtrpcConnection {
  const pending = new Map<number, Pending>();
  let lastStream = -1;
  let cause: Error | undefined;
  const decodeFrames = frameDecoder();

  socket.on('data', (chunk) => {
    try {
      for (const frame of decodeFrames(chunk)) {
        const call = pending.get(frame.stream);
        if (!call || frame.type !== FRAME.RESPONSE) continue;
        pending.delete(frame.stream);
        const { status, payload } = decode<Response>(responseType(), frame.payload);
        if (status && status.code !== CODE.OK) call.reject(new TtrpcError(status.code, status.message));
        else call.resolve(payload);
      }
    } catch (error) {
      socket.destroy(error as Error);
    }
  });
  socket.on('error', (error) => (cause = error));
  const closed = new Promise<void>((resolve) =>
    socket.once('close', () => {
      for (const call of pending.values())
        call.reject(new TtrpcError(CODE.UNAVAILABLE, 'ttrpc: closed', { cause }));
      pending.clear();
      resolve();
    }),
  );

  const call = (
    service: string,
    method: string,
    payload: Buffer,
    options: CallOptions,
  ): Promise<Uint8Array> =>
    new Promise((resolve, reject) => {
      if (socket.destroyed) return reject(new TtrpcError(CODE.UNAVAILABLE, 'ttrpc: closed', { cause }));
      const stream = (lastStream += 2);
      const { metadata = {}, timeout } = options;
      const request: Request = {
        service,
        method,
        payload,
        timeoutNano: (timeout ?? 0) * 1e6,
        metadata: Object.entries(metadata).map(([key, value]) => ({ key, value })),
      };
      const timer =
        timeout === undefined
          ? undefined
          : setTimeout(() => {
              pending.delete(stream);
              reject(new TtrpcError(CODE.DEADLINE_EXCEEDED, `${method}: no answer in ${timeout} ms`));
            }, timeout);
      pending.set(stream, {
        resolve: (answer) => (clearTimeout(timer), resolve(answer)),
        reject: (error) => (clearTimeout(timer), reject(error)),
      });
      const frame = { stream, type: FRAME.REQUEST, flags: 0, payload: encode(requestType(), request) };
      socket.write(encodeFrame(frame));
    });

  return {
    closed,
    close: () => socket.destroy(),
    client: <T>(service: protobuf.Service, options: CallOptions = {}) => {
      const name = service.fullName.replace(/^\./, '');
      return Object.fromEntries(
        service.methodsArray.map((method) => [
          functionName(method),
          async (request: object = {}, more: CallOptions = {}) =>
            decode(
              method.resolvedResponseType!,
              await call(name, method.name, encode(method.resolvedRequestType!, request), {
                ...options,
                ...more,
              }),
            ),
        ]),
      ) as T;
    },
  };
}

/**
 * Answers calls that come in on `server`'s connections. Requests run side by side: one that waits holds up no other. A handler
 * that throws TtrpcError decides the code; any other error is UNKNOWN with its message, as in Go.
 */
export function serveTtrpc(
  server: Server,
  services: readonly { service: protobuf.Service; functions: ServiceFunctions }[],
): void {
  const methods = new Map<string, (payload: Uint8Array, context: CallContext) => Promise<Uint8Array>>();
  for (const { service, functions } of services)
    for (const method of service.methodsArray) {
      const handle = functions[functionName(method)];
      if (!handle) continue;
      methods.set(`${service.fullName.slice(1)}/${method.name}`, async (payload, context) => {
        const request = decode(method.resolvedRequestType!, payload);
        return encode(method.resolvedResponseType!, await handle(request, context));
      });
    }

  const answer = async (bytes: Uint8Array): Promise<Partial<Response>> => {
    try {
      const request = decode<Request>(requestType(), bytes);
      const method = methods.get(`${request.service}/${request.method}`);
      if (!method)
        throw new TtrpcError(CODE.UNIMPLEMENTED, `/${request.service}/${request.method}: not implemented`);
      const metadata = Object.fromEntries(request.metadata.map(({ key, value }) => [key, value]));
      return { payload: await method(request.payload, { metadata }) };
    } catch (error) {
      const code = error instanceof TtrpcError ? error.code : CODE.UNKNOWN;
      return { status: { code, message: error instanceof Error ? error.message : String(error) } };
    }
  };

  server.on('connection', (socket) => {
    const decodeFrames = frameDecoder();
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      try {
        for (const { type, stream, payload } of decodeFrames(chunk)) {
          if (type !== FRAME.REQUEST) continue;
          void answer(payload).then((response) => {
            const bytes = encode(responseType(), response);
            if (!socket.destroyed)
              socket.write(encodeFrame({ stream, type: FRAME.RESPONSE, flags: 0, payload: bytes }));
          });
        }
      } catch (error) {
        socket.destroy(error as Error);
      }
    });
  });
}

const functionName = (method: protobuf.Method): string =>
  method.name[0]!.toLowerCase() + method.name.slice(1);

interface Request {
  service: string;
  method: string;
  payload: Uint8Array;
  /** 0: none */
  timeoutNano: number;
  metadata: { key: string; value: string }[];
}

interface Response {
  status: { code: number; message: string } | null;
  payload: Uint8Array;
}

const ENVELOPE_PROTO = `
syntax = "proto3";
package ttrpc;
message Request {
  string service = 1;
  string method = 2;
  bytes payload = 3;
  int64 timeout_nano = 4;
  repeated KeyValue metadata = 5;
}
message Response {
  Status status = 1;
  bytes payload = 2;
}
message Status {
  int32 code = 1;
  string message = 2;
}
message KeyValue {
  string key = 1;
  string value = 2;
}
`;

const envelopeTypes = lazyProtos(ENVELOPE_PROTO);
const requestType = (): protobuf.Type => envelopeTypes().lookupType('ttrpc.Request');
const responseType = (): protobuf.Type => envelopeTypes().lookupType('ttrpc.Response');
