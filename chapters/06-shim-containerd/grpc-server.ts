import { chmodSync } from 'node:fs';
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServiceError,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { isStoreError, type StoreErrorCode } from '../04-overlayfs/index.ts';
import { SERVICES, serviceDefinition, type Api } from './api.ts';
import type { Duplex, Input, ServerStream, Unary } from './api-common.ts';
import { CODES, GrpcError } from './grpc-errors.ts';

/** What comes with a call beside the message. */
export interface GrpcContext {
  /** The namespace that the client named. Reading it @throws GrpcError FailedPrecondition when it named none */
  readonly namespace: string;
  /** The lease that is to hold what the call makes; empty if none. */
  readonly lease: string;
  /** Aborted when the client no longer wants the answer. */
  readonly signal: AbortSignal;
}

/** A service as a server has it: functions, and async generators for streams. */
export type HandlersOf<Service> = {
  [M in keyof Service]: Service[M] extends Unary<infer Request, infer Response>
    ? (request: Request, context: GrpcContext) => Promise<Input<Response>>
    : Service[M] extends ServerStream<infer Request, infer Response>
      ? (request: Request, context: GrpcContext) => AsyncIterable<Input<Response>>
      : Service[M] extends Duplex<infer Request, infer Response>
        ? (requests: AsyncIterable<Request>, context: GrpcContext) => AsyncIterable<Input<Response>>
        : never;
};

export type Handlers = { [S in keyof Api]: HandlersOf<Api[S]> };

/** As containerd's: `ctr images import` sends pieces of a megabyte. Bytes. */
const MAX_MESSAGE = 16 << 20;

/**
 * Serves containerd's API on a unix socket, which must not exist yet; root alone may use it. Returns the function that ends it at once.
 * @throws Error when the socket cannot be made
 */
export async function serveGrpc(path: string, handlers: Handlers): Promise<() => void> {
  const server = new Server({
    'grpc.max_receive_message_length': MAX_MESSAGE,
    'grpc.max_send_message_length': MAX_MESSAGE,
  });
  for (const service of Object.keys(SERVICES) as (keyof Api)[]) {
    const definition = serviceDefinition(service);
    const functions = handlers[service] as unknown as Record<string, Handler>;
    server.addService(
      definition,
      Object.fromEntries(
        Object.entries(definition).map(([name, { requestStream, responseStream }]) => [
          name,
          responseStream ? streaming(functions[name]!, requestStream) : unary(functions[name]!),
        ]),
      ) as unknown as UntypedServiceImplementation,
    );
  }
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    ),
  );
  chmodSync(path, 0o660);
  return () => server.forceShutdown();
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the handlers' types are checked where they are written
type Handler = (request: any, context: GrpcContext) => any;

/** What grpc-js gives to a handler, as far as it is used here. */
interface Call {
  request: object;
  metadata: Metadata;
  on(event: 'cancelled' | 'drain' | 'close', listener: () => void): void;
  once(event: 'drain' | 'close', listener: () => void): void;
  emit(event: 'error', status: Partial<ServiceError>): void;
  iterator(options: { destroyOnReturn: boolean }): AsyncIterable<object>;
  sendMetadata(metadata: Metadata): void;
  write(message: object): boolean;
  end(): void;
}

function unary(handler: Handler) {
  return (call: Call, answer: (error: Partial<ServiceError> | null, response?: object) => void): void => {
    void (async () => handler(call.request, contextOf(call)) as Promise<object>)().then(
      (response) => answer(null, response),
      (error: unknown) => answer(statusOf(error)),
    );
  };
}

function streaming(handler: Handler, requestStream: boolean) {
  return async (call: Call): Promise<void> => {
    const context = contextOf(call);
    try {
      // Headers now, not with the first message: the client sees that its call has arrived.
      call.sendMetadata(new Metadata());
      // A handler that stops reading must not end the call: its error is still to be sent.
      const requests = requestStream ? call.iterator({ destroyOnReturn: false }) : call.request;
      const answers = handler(requests, context) as AsyncIterable<object>;
      for await (const message of answers) {
        if (context.signal.aborted) return;
        if (!call.write(message)) await drained(call);
      }
      call.end();
    } catch (error) {
      call.emit('error', statusOf(error));
    }
  };
}

const drained = (call: Call): Promise<void> =>
  new Promise((resolve) => {
    call.once('drain', resolve);
    call.once('close', resolve);
  });

function contextOf(call: Call): GrpcContext {
  const abort = new AbortController();
  call.on('cancelled', () => abort.abort());
  const header = (name: string): string => String(call.metadata.get(name)[0] ?? '');
  return {
    get namespace() {
      const namespace = header('containerd-namespace');
      if (!namespace) throw new GrpcError('FailedPrecondition', 'namespace is required');
      return namespace;
    },
    lease: header('containerd-lease'),
    signal: abort.signal,
  };
}

const STORE_CODES: Record<StoreErrorCode, number> = {
  NOT_FOUND: CODES.NotFound,
  ALREADY_EXISTS: CODES.AlreadyExists,
  FAILED_PRECONDITION: CODES.FailedPrecondition,
  INVALID_ARGUMENT: CODES.InvalidArgument,
  UNAVAILABLE: CODES.Unavailable,
  DATA_LOSS: 15,
};

/** The status by which a client learns of an error. What has no code of its own is Unknown, as in Go. */
export function statusOf(error: unknown): { code: number; details: string } {
  const details = error instanceof Error ? error.message : String(error);
  if (isStoreError(error)) return { code: STORE_CODES[error.code], details };
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return { code: typeof code === 'number' && code > 0 && code <= 16 ? code : CODES.Unknown, details };
}
