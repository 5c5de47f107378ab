import { badParameter, notFound } from './api-error.ts';
import type { Call } from './call.ts';
import type { Daemon } from './daemon.ts';

/** The versions of the Engine API that are understood; later ones differ in nothing that is served here. */
export const API_VERSION = '1.50';
export const OLDEST_API_VERSION = '1.24';

export type Handler = (daemon: Daemon, call: Call) => void | Promise<void>;

/** One line of the table: `GET`, `/containers/{name}/json`, and who answers. `{name...}` matches slashes too. */
export type Route = readonly [method: string, pattern: string, handler: Handler];

/** A route that was found, with what its pattern's holes matched. */
export interface Match {
  handler: Handler;
  params: Record<string, string>;
  /** The API version that the client speaks. */
  version: string;
}

/**
 * Makes the function that finds a request's handler. The first line of the table that matches wins, so the special stands
 * before the general.
 * @throws ApiError 404 when no line matches, 400 for a version outside of what is understood
 */
export function router(table: readonly Route[]): (method: string, path: string) => Match {
  const routes = table.map(([method, pattern, handler]) => ({ method, handler, regex: compile(pattern) }));
  return (method, path) => {
    const [, asked, rest] = /^\/v(\d+\.\d+)(\/.*)$/.exec(path) ?? [];
    checkVersion(asked);
    for (const route of routes) {
      if (route.method !== method) continue;
      const groups = route.regex.exec(rest ?? path)?.groups;
      if (groups) return { handler: route.handler, params: decode(groups), version: asked ?? API_VERSION };
    }
    throw notFound('page not found');
  };
}

function compile(pattern: string): RegExp {
  const source = pattern.replace(/\{(\w+)\.\.\.\}/g, '(?<$1>.+)').replace(/\{(\w+)\}/g, '(?<$1>[^/]+)');
  // The empty group makes `groups` an object where the pattern has no hole.
  return new RegExp(`^${source}(?<_>)/?$`);
}

function decode(groups: Record<string, string>): Record<string, string> {
  try {
    return Object.fromEntries(Object.entries(groups).map(([key, value]) => [key, decodeURIComponent(value)]));
  } catch (error) {
    throw badParameter('the path is not well escaped', error);
  }
}

function checkVersion(asked: string | undefined): void {
  if (asked === undefined) return;
  if (compareVersions(asked, API_VERSION) > 0)
    throw badParameter(`client version ${asked} is too new. Maximum supported API version is ${API_VERSION}`);
  if (compareVersions(asked, OLDEST_API_VERSION) < 0)
    throw badParameter(
      `client version ${asked} is too old. Minimum supported API version is ${OLDEST_API_VERSION}, please upgrade your client to a newer version`,
    );
}

/** Below zero when `a` is older than `b`: 1.9 comes before 1.10. */
export function compareVersions(a: string, b: string): number {
  const [majorA = 0, minorA = 0] = a.split('.').map(Number);
  const [majorB = 0, minorB = 0] = b.split('.').map(Number);
  return majorA - majorB || minorA - minorB;
}
