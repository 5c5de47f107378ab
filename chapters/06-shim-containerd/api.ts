import type protobuf from 'protobufjs';
import { commonProtos, type Any, type Input } from './api-common.ts';
import { containersProto, type ContainersApi } from './api-containers.ts';
import { contentProto, type ContentApi } from './api-content.ts';
import { diffProto, type DiffApi } from './api-diff.ts';
import { eventsProtos, type EventsApi, type EventTypes } from './api-events.ts';
import { imagesProto, type ImagesApi } from './api-images.ts';
import { introspectionProtos, type IntrospectionApi, type VersionApi } from './api-introspection.ts';
import { leasesProto, type LeasesApi } from './api-leases.ts';
import { namespacesProto, type NamespacesApi } from './api-namespaces.ts';
import { snapshotsProto, type SnapshotsApi } from './api-snapshots.ts';
import { tasksProtos, type TasksApi } from './api-tasks.ts';
import { encode, lazyProtos } from './protobuf.ts';
import { COMMON_PROTOS, RUNC_OPTIONS_PROTO, TASK_EVENTS_PROTO } from './shim-protos.ts';

/** containerd's services as we speak them. Client and server are both made from this one description. */
export interface Api {
  namespaces: NamespacesApi;
  containers: ContainersApi;
  tasks: TasksApi;
  images: ImagesApi;
  content: ContentApi;
  snapshots: SnapshotsApi;
  leases: LeasesApi;
  events: EventsApi;
  diff: DiffApi;
  introspection: IntrospectionApi;
  version: VersionApi;
}

/** The full name of each service: the first half of every gRPC path. */
export const SERVICES: Readonly<Record<keyof Api, string>> = {
  namespaces: 'containerd.services.namespaces.v1.Namespaces',
  containers: 'containerd.services.containers.v1.Containers',
  tasks: 'containerd.services.tasks.v1.Tasks',
  images: 'containerd.services.images.v1.Images',
  content: 'containerd.services.content.v1.Content',
  snapshots: 'containerd.services.snapshots.v1.Snapshots',
  leases: 'containerd.services.leases.v1.Leases',
  events: 'containerd.services.events.v1.Events',
  diff: 'containerd.services.diff.v1.Diff',
  introspection: 'containerd.services.introspection.v1.Introspection',
  version: 'containerd.services.version.v1.Version',
};

/** One method in the shape that grpc-js wants it: where it is, and how its messages become bytes. */
export interface MethodDefinition {
  path: string;
  requestStream: boolean;
  responseStream: boolean;
  requestSerialize: (message: object) => Buffer;
  requestDeserialize: (bytes: Buffer) => object;
  responseSerialize: (message: object) => Buffer;
  responseDeserialize: (bytes: Buffer) => object;
}

/** The methods of a service, by their names in TypeScript: `Tasks.ResizePty` is `resizePty`. */
export function serviceDefinition(service: keyof Api): Record<string, MethodDefinition> {
  const { methodsArray } = root().lookupService(SERVICES[service]);
  return Object.fromEntries(
    methodsArray.map((method) => {
      method.resolve();
      const request = codec(method.resolvedRequestType!);
      const response = codec(method.resolvedResponseType!);
      return [
        method.name[0]!.toLowerCase() + method.name.slice(1),
        {
          path: `/${SERVICES[service]}/${method.name}`,
          requestStream: method.requestStream ?? false,
          responseStream: method.responseStream ?? false,
          requestSerialize: request.encode,
          requestDeserialize: request.decode,
          responseSerialize: response.encode,
          responseDeserialize: response.decode,
        },
      ];
    }),
  );
}

/** A message of a type known by its full name, as bytes. */
export const encodeMessage = (type: string, message: object): Buffer =>
  codec(root().lookupType(type)).encode(message);

/** The message that the bytes say, every field set: 0, "", [], {} and null where the bytes say nothing. */
export const decodeMessage = (type: string, bytes: Uint8Array): object =>
  codec(root().lookupType(type)).decode(bytes);

/** A message as JSON that can be written to disk: bytes are base64, fields without a value are left out. */
export function messageToJson(type: string, message: object): object {
  const found = root().lookupType(type);
  return found.toObject(found.fromObject(message), { longs: Number, enums: String, bytes: String });
}

/** The message that `messageToJson` wrote. */
export function messageFromJson(type: string, json: object): object {
  const found = root().lookupType(type);
  return decodeMessage(type, found.encode(found.fromObject(json)).finish());
}

/** An Any that holds JSON, as containerd keeps runtime specs: `jsonAny('…/runtime-spec/1/Spec', spec)`. */
export const jsonAny = (typeUrl: string, value: unknown): Any => ({
  typeUrl,
  value: Buffer.from(JSON.stringify(value)),
});

/** The JSON that an Any of `jsonAny` holds. @throws SyntaxError when it holds none */
export const anyJson = (any: Any): unknown => JSON.parse(Buffer.from(any.value).toString());

/** The type URLs of the OCI runtime spec's parts: JSON inside an Any. */
export const OCI_TYPES = {
  spec: 'types.containerd.io/opencontainers/runtime-spec/1/Spec',
  process: 'types.containerd.io/opencontainers/runtime-spec/1/Process',
  linuxResources: 'types.containerd.io/opencontainers/runtime-spec/1/LinuxResources',
} as const;

/** The options of a runc-like shim, `containerd.runc.v1.Options`, as an Any. */
export const runcOptions = (options: {
  /** The OCI runtime to run in place of the shim's own. */
  binaryName?: string;
  /** Where the runtime keeps its state. */
  root?: string;
  systemdCgroup?: boolean;
  ioUid?: number;
  ioGid?: number;
}): Any => ({
  typeUrl: 'containerd.runc.v1.Options',
  value: encodeMessage('containerd.runc.v1.Options', options),
});

/** An event as an Any: `eventAny('TaskExit', {…})`. */
export const eventAny = <T extends keyof EventTypes>(type: T, event: Input<EventTypes[T]>): Any => ({
  typeUrl: eventType(type),
  value: encodeMessage(eventType(type), event),
});

/** An event with its name: `if (event.type === 'TaskExit') event.exitStatus`. */
export type Event = { [T in keyof EventTypes]: { type: T } & EventTypes[T] }[keyof EventTypes];

/** What an event says, or undefined where it is none that we know. */
export function decodeEvent(any: Any | null): Event | undefined {
  // Some senders put a host before the name, as in URLs.
  const fullName = any?.typeUrl.split('/').at(-1) ?? '';
  const type = fullName.split('.').at(-1)!;
  if (!any || fullName !== eventType(type) || !root().lookup(fullName)) return undefined;
  return { type, ...decodeMessage(fullName, any.value) } as Event;
}

/** The events of images live in another package than all others. */
const eventType = (type: string): string =>
  `${/^Image[A-Z]/.test(type) ? 'containerd.services.images.v1' : 'containerd.events'}.${type}`;

const root = lazyProtos(
  ...COMMON_PROTOS,
  ...commonProtos,
  namespacesProto,
  containersProto,
  ...tasksProtos,
  imagesProto,
  contentProto,
  snapshotsProto,
  leasesProto,
  ...eventsProtos,
  diffProto,
  ...introspectionProtos,
  TASK_EVENTS_PROTO,
  RUNC_OPTIONS_PROTO,
);

function codec(type: protobuf.Type): {
  encode: (message: object) => Buffer;
  decode: (bytes: Uint8Array) => object;
} {
  return {
    encode: (message) => encode(type, message),
    decode: (bytes) =>
      type.toObject(type.decode(bytes), { defaults: true, longs: Number, enums: String, bytes: Buffer }),
  };
}
