import type { EventTypes, Envelope } from './api-events.ts';
import { decodeEvent, eventAny } from './api.ts';
import type { Input } from './api-common.ts';
import { fieldsOf, parseFilters } from './filters.ts';
import { toTimestamp, type Any } from './protobuf.ts';

/**
 * Where events come together and go out to everyone who asked. Nothing is kept: who asks later hears of later events. But for the first
 * seconds, in which clients of a server that was restarted come back, everyone who comes hears of all there was.
 */
export interface EventBus {
  publish(envelope: Envelope): void;
  /** Publishes one of containerd.events, now. */
  tell<T extends keyof EventTypes>(
    namespace: string,
    topic: string,
    type: T,
    event: Input<EventTypes[T]>,
  ): void;
  /** Events from this call on, until the signal. @throws GrpcError InvalidArgument (a filter) at once */
  subscribe(filters: readonly string[], signal: AbortSignal): AsyncIterable<Envelope>;
}

//#region eventBus
export function createEventBus({ grace = 10_000 }: { /** milliseconds */ grace?: number } = {}): EventBus {
  const subscribers = new Set<(envelope: Envelope) => void>();
  let first: Envelope[] | undefined = [];
  setTimeout(() => (first = undefined), grace).unref();

  const publish = (envelope: Envelope): void => {
    first?.push(envelope);
    for (const deliver of subscribers) deliver(envelope);
  };

  function subscribe(filters: readonly string[], signal: AbortSignal): AsyncIterable<Envelope> {
    const wanted = parseFilters(filters);
    const queue: Envelope[] = [];
    let wake = (): void => undefined;
    const deliver = (envelope: Envelope): void => {
      if (!wanted(fieldsOf(describe(envelope)))) return;
      queue.push(envelope);
      wake();
    };
    first?.forEach(deliver);
    // From here on nothing is missed, also while the reader is busy with the event before.
    subscribers.add(deliver);
    const leave = (): void => {
      subscribers.delete(deliver);
      wake();
    };
    signal.addEventListener('abort', leave, { once: true });
    return (async function* () {
      try {
        while (!signal.aborted) {
          yield* queue.splice(0);
          if (queue.length === 0 && !signal.aborted) await new Promise<void>((resolve) => (wake = resolve));
        }
      } finally {
        leave();
      }
    })();
  }

  return {
    publish,
    subscribe,
    tell: (namespace, topic, type, event) =>
      publish({ timestamp: toTimestamp(new Date()), namespace, topic, event: eventAny(type, event) }),
  };
}
//#endregion

/** What filters can look at: topic, namespace, and the event's own fields (`event.container_id`). */
const describe = ({ topic, namespace, event }: Envelope): object => ({
  topic,
  namespace,
  event: snakeCase(event),
});

function snakeCase(event: Any | null): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(decodeEvent(event) ?? {}).map(([name, value]) => [
      name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value,
    ]),
  );
}
