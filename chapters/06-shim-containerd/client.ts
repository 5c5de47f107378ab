import { Client, connectivityState, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { serviceDefinition, SERVICES, type Api, type MethodDefinition } from './api.ts';
import type { Duplex, Input, ServerStream, Unary } from './api-common.ts';
import { codeName, GrpcError, isGrpcError } from './grpc-errors.ts';

export interface CallOptions {
  /** Gives up the call; it then ends with Canceled. */
  signal?: AbortSignal;
  /** Milliseconds after which the call ends with DeadlineExceeded. Default: none. */
  timeout?: number;
  /** A lease that holds what the call makes. */
  lease?: string;
  /** Another namespace than the client's. */
  namespace?: string;
}

/** The client's half of a call in which both sides send. */
export interface DuplexCall<Request, Response> {
  /** Resolves when the message has been handed to the connection. */
  send(message: Input<Request>): Promise<void>;
  /** The next answer, or undefined after the last. Rejects with GrpcError. */
  next(): Promise<Response | undefined>;
  /** No more messages from us. */
  end(): void;
  cancel(): void;
}

/** A service as a client sees it: promises, and async iterables for streams. */
export type ClientOf<Service> = {
  [M in keyof Service]: Service[M] extends Unary<infer Request, infer Response>
    ? (request: Input<Request>, options?: CallOptions) => Promise<Response>
    : Service[M] extends ServerStream<infer Request, infer Response>
      ? (request: Input<Request>, options?: CallOptions) => AsyncIterable<Response>
      : Service[M] extends Duplex<infer Request, infer Response>
        ? (options?: CallOptions) => DuplexCall<Request, Response>
        : never;
};

/** A connection to containerd, or to mycontainerd: the services, and the connection's own two verbs. */
export type ContainerdClient = { [S in keyof Api]: ClientOf<Api[S]> } & {
  readonly address: string;
  readonly namespace: string;
  /** Waits until the server answers. @throws GrpcError Unavailable after `timeout` milliseconds */
  ready(timeout?: number): Promise<void>;
  close(): void;
};

/** containerd refuses larger messages itself. Bytes. */
const MAX_MESSAGE = 16 << 20;

/**
 * A client of containerd's gRPC API, over a unix socket. Connects when first used, and again by itself when the server comes back; a
 * call made while there is none fails with Unavailable, after `patience`.
 *
 *     const containerd = connectContainerd('/run/containerd/containerd.sock', 'default');
 *     const { tasks } = await containerd.tasks.list({});
 *     for await (const { topic, event } of containerd.events.subscribe({})) …
 *
 * A stream begins when its method is called, not when it is first read.
 * @param address the socket's path, with or without `unix://`
 * @param namespace goes with each call as the header `containerd-namespace`
 * @param patience how long a call that has one answer waits for a server that is not there, in milliseconds: one that was killed may
 * be started again at this moment. Default: not at all
 * @throws GrpcError (rejections): its code says what went wrong, see `isGrpcError`
 */
export function connectContainerd(
  address: string,
  namespace: string,
  { patience = 0 }: { patience?: number } = {},
): ContainerdClient {
  const path = address.replace(/^unix:(\/\/)?/, '');
  const connection = new Client(`unix:${path}`, credentials.createInsecure(), {
    // A path is no host name: Go's HTTP/2 server refuses it in :authority.
    'grpc.default_authority': 'localhost',
    'grpc.max_receive_message_length': MAX_MESSAGE,
    'grpc.max_send_message_length': MAX_MESSAGE,
    // A server that was restarted is to be found again soon, not in two minutes.
    'grpc.initial_reconnect_backoff_ms': 50,
    'grpc.max_reconnect_backoff_ms': 500,
  });
  const services = Object.keys(SERVICES).map((name) => [
    name,
    serviceClient(connection, name as keyof Api, namespace, patience),
  ]);
  const client = Object.fromEntries(services) as { [S in keyof Api]: ClientOf<Api[S]> };
  return {
    ...client,
    address: path,
    namespace,
    ready: async (timeout = 10_000) => {
      const end = Date.now() + timeout;
      for (;;) {
        try {
          await connected(connection, end);
          // A connection is taken for open until its end has been read: only an answer says that the server is there.
          await client.version.version({}, { timeout: Math.max(end - Date.now(), 1) });
          return;
        } catch (cause) {
          if (Date.now() < end && isGrpcError(cause, 'Unavailable')) continue;
          throw new GrpcError('Unavailable', `containerd at ${path}: no answer within ${timeout} ms`, {
            cause,
          });
        }
      }
    },
    close: () => connection.close(),
  };
}

function serviceClient(connection: Client, service: keyof Api, namespace: string, patience: number): object {
  return Object.fromEntries(
    Object.entries(serviceDefinition(service)).map(([name, method]) => {
      const call = method.requestStream ? duplexCall : method.responseStream ? streamCall : unaryCall;
      return [name, call(connection, method, `${service}.${name}`, namespace, patience)];
    }),
  );
}

//#region unary
function unaryCall(
  connection: Client,
  method: MethodDefinition,
  name: string,
  namespace: string,
  patience: number,
) {
  return async (request: object, options: CallOptions = {}): Promise<object> => {
    if (patience > 0)
      await connected(connection, Date.now() + Math.min(patience, options.timeout ?? patience));
    return new Promise((resolve, reject) => {
      const call = connection.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        metadata(namespace, options),
        deadline(options),
        (error, response) => (error ? reject(wrap(error, name)) : resolve(response!)),
      );
      onAbort(options, () => call.cancel());
    });
  };
}
//#endregion

/** Waits for the connection, until `end` at most (milliseconds since 1970); then the call itself says what is wrong. */
function connected(connection: Client, end: number): Promise<void> {
  if (connection.getChannel().getConnectivityState(false) === connectivityState.READY)
    return Promise.resolve();
  return new Promise((resolve) => connection.waitForReady(end, () => resolve()));
}

function streamCall(connection: Client, method: MethodDefinition, name: string, namespace: string) {
  return (request: object, options: CallOptions = {}): AsyncIterable<object> => {
    const call = connection.makeServerStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      metadata(namespace, options),
      deadline(options),
    );
    // An error that comes before anyone reads is kept for the reader; without a listener it would end the process.
    call.on('error', () => undefined);
    onAbort(options, () => call.cancel());
    return {
      async *[Symbol.asyncIterator]() {
        try {
          for await (const message of call) yield message as object;
        } catch (error) {
          throw wrap(error as ServiceError, name);
        } finally {
          call.cancel();
        }
      },
    };
  };
}

function duplexCall(connection: Client, method: MethodDefinition, name: string, namespace: string) {
  return (options: CallOptions = {}): DuplexCall<object, object> => {
    const call = connection.makeBidiStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      metadata(namespace, options),
      deadline(options),
    );
    call.on('error', () => undefined);
    onAbort(options, () => call.cancel());
    const answers = call[Symbol.asyncIterator]() as AsyncIterator<object, undefined>;
    return {
      send: (message) =>
        new Promise((resolve, reject) =>
          call.write(message, (error?: Error | null) =>
            error ? reject(wrap(error as ServiceError, name)) : resolve(),
          ),
        ),
      next: async () => {
        try {
          return (await answers.next()).value;
        } catch (error) {
          throw wrap(error as ServiceError, name);
        }
      },
      end: () => call.end(),
      cancel: () => call.cancel(),
    };
  };
}

function metadata(namespace: string, options: CallOptions): Metadata {
  const headers = new Metadata();
  headers.set('containerd-namespace', options.namespace ?? namespace);
  if (options.lease) headers.set('containerd-lease', options.lease);
  return headers;
}

const deadline = ({ timeout }: CallOptions): { deadline?: number } =>
  timeout === undefined ? {} : { deadline: Date.now() + timeout };

function onAbort({ signal }: CallOptions, cancel: () => void): void {
  if (signal?.aborted) cancel();
  signal?.addEventListener('abort', cancel, { once: true });
}

/** `tasks.get: NotFound: no running task found …`. */
function wrap(error: ServiceError, method: string): GrpcError {
  const code = error.code ?? 2;
  return new GrpcError(code, `${method}: ${codeName(code)}: ${error.details ?? error.message}`, {
    cause: error,
  });
}
