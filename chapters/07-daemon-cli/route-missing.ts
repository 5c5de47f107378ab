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
  ['GET', '/containers/{name}/changes', missing('the changes of a container')],
  ['GET', '/containers/{name}/export', missing('exporting a container')],
  ['HEAD', '/containers/{name}/archive', missing('copying from and to a container')],
  ['GET', '/containers/{name}/archive', missing('copying from and to a container')],
  ['PUT', '/containers/{name}/archive', missing('copying from and to a container')],
  ['POST', '/commit', missing('making an image of a container')],
  ['POST', '/build', missing('building images')],
  ['POST', '/build/prune', missing('building images')],
  ['POST', '/auth', missing('logging in to a registry')],
  ['POST', '/images/{name...}/push', missing('pushing to a registry')],
  ['GET', '/images/search', missing('searching a registry')],
  ['GET', '/images/get', missing('saving images')],
  ['GET', '/images/{name...}/get', missing('saving images')],
  ['GET', '/system/df', missing('the use of the disk')],
  ['GET', '/plugins', (_daemon, call) => call.json(200, [])],
  ['GET', '/swarm', missing('swarm')],
];
