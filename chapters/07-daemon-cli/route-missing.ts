import { notImplemented } from './api-error.ts';
import type { Handler, Route } from './router.ts';

const missing =
  (what: string): Handler =>
  () => {
    throw notImplemented(`${what}: not served by this engine yet`);
  };

/** What Docker serves and this engine does not yet: said plainly, where "page not found" would puzzle. */
export const missingRoutes: readonly Route[] = [
  ['POST', '/containers/{name}/update', missing('changing the limits of a container')],
  ['GET', '/images/search', missing('searching a registry')],
  ['GET', '/system/df', missing('the use of the disk')],
  ['GET', '/plugins', (_daemon, call) => call.json(200, [])],
  ['GET', '/swarm', missing('swarm')],
];
