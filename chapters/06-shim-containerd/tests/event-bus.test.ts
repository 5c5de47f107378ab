import { describe, expect, it } from 'vitest';
import { decodeEvent } from '../api.ts';
import { createEventBus, type EventBus } from '../event-bus.ts';

const start = (bus: EventBus, containerId: string): void =>
  bus.tell('n', '/tasks/start', 'TaskStart', { containerId, pid: 1 });

describe('the event bus', () => {
  it('gives each subscriber what comes after it, in order, also while the subscriber is busy', async () => {
    const bus = createEventBus();
    const stop = new AbortController();
    start(bus, 'before');
    const events = bus.subscribe([], stop.signal);
    for (const id of ['a', 'b', 'c']) start(bus, id);
    const seen: string[] = [];
    for await (const { event } of events) {
      const decoded = decodeEvent(event);
      if (decoded?.type === 'TaskStart') seen.push(decoded.containerId);
      await new Promise(setImmediate);
      if (seen.length === 1) start(bus, 'd');
      if (seen.length === 4) stop.abort();
    }
    expect(seen).toEqual(['a', 'b', 'c', 'd']);
  });

  it('filters by topic, namespace and the event’s own fields', async () => {
    const bus = createEventBus();
    const stop = new AbortController();
    const filters = ['topic==/tasks/start,event.container_id==b', 'namespace==other'];
    const events = bus.subscribe(filters, stop.signal);
    for (const id of ['a', 'b']) start(bus, id);
    bus.tell('other', '/containers/delete', 'ContainerDelete', { id: 'x' });
    const seen: string[] = [];
    for await (const { topic } of events) if (seen.push(topic) === 2) stop.abort();
    expect(seen).toEqual(['/tasks/start', '/containers/delete']);
  });

  it('tells who comes back in time what was told before, if it is to remember', async () => {
    const bus = createEventBus();
    bus.remember(60_000);
    start(bus, 'missed');
    for (let i = 0; i < 2; i++) {
      const stop = new AbortController();
      for await (const { event } of bus.subscribe([], stop.signal)) {
        expect(decodeEvent(event)).toMatchObject({ containerId: 'missed' });
        stop.abort();
      }
    }
  });

  it('refuses a filter that it cannot read at once', () => {
    expect(() => createEventBus().subscribe(['topic~=['], new AbortController().signal)).toThrow(/topic~=\[/);
  });
});
