import type { Call } from './call.ts';
import { filters } from './call.ts';
import { hasLabel } from './container-filter.ts';
import type { Daemon } from './daemon.ts';
import type { ApiEvent } from './event-bus.ts';
import { parseMoment } from './logs.ts';
import type { Route } from './router.ts';

export const eventRoutes: readonly Route[] = [['GET', '/events', events]];

const FILTERS = ['type', 'event', 'container', 'image', 'label', 'network', 'volume', 'daemon', 'scope'];

/** What has happened since a moment, and what happens from now on, a line of JSON each, until the client leaves. */
async function events(daemon: Daemon, call: Call): Promise<void> {
  const wanted = filters(call.query, FILTERS);
  const since = parseMoment('since', call.query.get('since'));
  const until = parseMoment('until', call.query.get('until'));
  const answer = call.stream(200, 'application/json');
  const tell = (event: ApiEvent): void => {
    if (!matches(event, wanted)) return;
    // The older fields: clients of before 1.22 read them, and people's scripts.
    const old =
      event.Type === 'container'
        ? { status: event.Action, id: event.Actor.ID, from: event.Actor.Attributes['image'] }
        : {};
    answer.write(`${JSON.stringify({ ...old, ...event })}\n`);
  };
  if (since !== undefined)
    for (const event of daemon.events.recent()) {
      const time = BigInt(event.timeNano);
      if (time >= since && (until === undefined || time <= until)) tell(event);
    }
  const left = until === undefined ? undefined : Number(until / 1_000_000n) - Date.now();
  if (left !== undefined && left <= 0) return void answer.end();
  const unsubscribe = daemon.events.subscribe(tell);
  const timer = left === undefined ? undefined : setTimeout(() => answer.end(), left);
  await new Promise<void>((resolve) => {
    if (call.gone.aborted) resolve();
    call.gone.addEventListener('abort', () => resolve());
  });
  clearTimeout(timer);
  unsubscribe();
}

function matches(event: ApiEvent, wanted: ReadonlyMap<string, string[]>): boolean {
  const { ID, Attributes } = event.Actor;
  const actor = (type: string) => (value: string) =>
    event.Type === type && (ID === value || ID.startsWith(value) || Attributes['name'] === value);
  const tests: Record<string, (value: string) => boolean> = {
    type: (value) => event.Type === value,
    event: (value) => event.Action === value || event.Action.startsWith(`${value}:`),
    container: actor('container'),
    image: (value) => actor('image')(value) || Attributes['image'] === value,
    network: actor('network'),
    volume: actor('volume'),
    daemon: actor('daemon'),
    scope: (value) => value === event.scope,
    label: (value) => hasLabel(Attributes, value),
  };
  return [...wanted].every(([name, values]) => values.length === 0 || values.some(tests[name]!));
}
