import type { ContainerRecord } from './container.ts';
import type { Daemon } from './daemon.ts';

/** Tells those who listen to GET /events what happened to a container. */
export function tell(
  daemon: Pick<Daemon, 'events'>,
  { id, name, config }: ContainerRecord,
  action: string,
  attributes: Record<string, string> = {},
): void {
  daemon.events.publish('container', action, id, {
    ...config.Labels,
    image: config.Image,
    name,
    ...attributes,
  });
}
