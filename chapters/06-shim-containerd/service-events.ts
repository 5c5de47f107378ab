import type { Server } from 'node:net';
import type { EventBus } from './event-bus.ts';
import { GrpcError } from './grpc-errors.ts';
import type { Handlers } from './grpc-server.ts';
import { toTimestamp } from './protobuf.ts';
import { forwardServiceType, type Envelope } from './task-api.ts';
import { serveTtrpc, type ServiceFunctions } from './ttrpc.ts';

/** containerd.services.events.v1: what happened, for everyone who asks. */
export function eventsService(events: EventBus): Handlers['events'] {
  return {
    async publish({ topic, event }, { namespace }) {
      checkTopic(topic);
      events.publish({ timestamp: toTimestamp(new Date()), namespace, topic, event });
      return {};
    },
    async forward({ envelope }) {
      checkTopic(envelope?.topic);
      events.publish(envelope!);
      return {};
    },
    subscribe: ({ filters }, { signal }) => events.subscribe(filters, signal),
  };
}

/** The way in for shims: the same `forward`, over ttrpc. */
export function serveForward(server: Server, receive: (envelope: Envelope) => void): void {
  const functions: ServiceFunctions = {
    async forward({ envelope }: { envelope: Envelope | null }) {
      checkTopic(envelope?.topic);
      receive(envelope!);
      return {};
    },
  };
  serveTtrpc(server, [{ service: forwardServiceType(), functions }]);
}

function checkTopic(topic: string | undefined): asserts topic is string {
  if (!topic || !/^(\/[\w-]+)+$/.test(topic))
    throw new GrpcError(
      'InvalidArgument',
      `topic ${JSON.stringify(topic ?? '')} is invalid: parts with a slash before each, as /tasks/exit`,
    );
}
