import type { EventTypes, Envelope } from './api-events.ts';
import { decodeEvent, eventAny } from './api.ts';
import type { Input } from './api-common.ts';
import { fieldsOf, parseFilters } from './filters.ts';
import { toTimestamp, type Any } from './protobuf.ts';

/** Where events come together and go out to everyone who asked. Nothing is kept: who asks later hears of later events. */
export interface EventBus {
  publish(envelope: Envelope): void;
  /** Publishes one of containerd.events, now. */
  tell<T extends keyof EventTypes>(
    namespace: string,
    topic: string,
    type: T,
    event: Input<EventTypes[T]>,
  ): void;
  /**
   * From now on, for so many milliseconds, who subscribes hears of all there was since. For a server that was restarted: its clients
   * come back a moment later, and what has ended meanwhile is told before.
   */
  remember(milliseconds: number): void;
  /** Events from this call on, until the signal. @throws GrpcError InvalidArgument (a filter) at once */
  subscribe(filters: readonly string[], signal: AbortSignal): AsyncIterable<Envelope>;
}

//#region eventBus
export function createEventBus(): EventBus {
  const subscribers = new Set<(envelope: Envelope) => void>();
  let remembered: Envelope[] | undefined;

  const publish = (envelope: Envelope): void => {
    remembered?.push(envelope);
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
    remembered?.forEach(deliver);
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
    remember(milliseconds) {
      remembered = [];
      setTimeout(() => (remembered = undefined), milliseconds).unref();
    },
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
