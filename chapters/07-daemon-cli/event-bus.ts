import { EventEmitter } from 'node:events';

/** Something that happened, as GET /events tells it. */
export interface ApiEvent {
  Type: 'container' | 'image' | 'network' | 'volume' | 'daemon';
  Action: string;
  Actor: { ID: string; Attributes: Record<string, string> };
  scope: 'local';
  /** seconds since 1970 */
  time: number;
  /** nanoseconds since 1970; beyond what a double keeps exactly, which is why it is cut to microseconds */
  timeNano: number;
}

/** How many events are kept for those who ask about the past: Docker keeps as many. */
const KEPT = 256;

export interface EventBus {
  publish(type: ApiEvent['Type'], action: string, id: string, attributes?: Record<string, string>): void;
  /** Calls `listener` with every event from now on, until the function that it returns is called. */
  subscribe(listener: (event: ApiEvent) => void): () => void;
  /** The last events, the oldest first. */
  recent(): ApiEvent[];
}

export function eventBus(): EventBus {
  const emitter = new EventEmitter().setMaxListeners(0);
  const kept: ApiEvent[] = [];
  return {
    publish: (type, action, id, attributes = {}) => {
      const microseconds = Math.round((performance.timeOrigin + performance.now()) * 1000);
      const event: ApiEvent = {
        Type: type,
        Action: action,
        Actor: { ID: id, Attributes: attributes },
        scope: 'local',
        time: Math.floor(microseconds / 1e6),
        timeNano: microseconds * 1000,
      };
      kept.push(event);
      if (kept.length > KEPT) kept.shift();
      emitter.emit('event', event);
    },
    subscribe: (listener) => {
      emitter.on('event', listener);
      return () => void emitter.off('event', listener);
    },
    recent: () => [...kept],
  };
}
