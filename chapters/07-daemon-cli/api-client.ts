import { Agent, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import type { Socket } from 'node:net';

/** The newest version of the Engine API that this client speaks; with an older daemon it speaks the daemon's. */
export const API_VERSION = '1.47';
/** What a daemon speaks that does not say. */
const OLDEST_VERSION = '1.24';

export const DEFAULT_HOST = 'unix:///run/mydocker/mydocker.sock';

/** A refusal by the daemon: its own words, behind `Error response from daemon: `. */
export class DaemonError extends Error {
  override readonly name = 'DaemonError';
  /** HTTP status: 400 bad request, 404 not found, 409 conflict … */
  readonly status: number;
  /** What the daemon said, without what this client puts before it. */
  readonly reason: string;

  constructor(status: number, reason: string) {
    super(`Error response from daemon: ${reason}`);
    this.status = status;
    this.reason = reason;
  }
}

/** Nobody answered. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
}

export interface ApiRequest {
  /** Left out where undefined or empty; `true` is written 1. */
  query?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Sent as JSON, unless it is a stream, which is sent as it is. */
  body?: object;
  headers?: Readonly<Record<string, string>>;
}

/** A conversation with one daemon. Every path is without its version: `/containers/json`. */
export interface ApiClient {
  readonly host: string;
  /** The version spoken with this daemon. */
  version(): Promise<string>;
  /** Answers the response's headers as soon as they are here; its body is for the caller to read. */
  request(method: string, path: string, options?: ApiRequest): Promise<IncomingMessage>;
  /** A whole answer, as JSON; undefined where the answer has no body. */
  json<T>(method: string, path: string, options?: ApiRequest): Promise<T>;
  /** Takes the connection over: from the answer on it is a plain stream in both directions. */
  hijack(path: string, options?: ApiRequest): Promise<Socket>;
  close(): void;
}

/**
 * A client of the daemon at `host`. Nothing is sent until something is asked.
 * Every method throws DaemonError for an answer that is no success, ConnectionError when there is no answer.
 * @param host `unix:///path/of/socket`, or `tcp://address:port`
 * @throws RangeError for any other host, saying what is allowed
 */
export function apiClient(host: string): ApiClient {
  const where = parseHost(host);
  const agent = new Agent({ keepAlive: true });
  let negotiated: Promise<string> | undefined;
  const version = (): Promise<string> => (negotiated ??= negotiate());

  async function negotiate(): Promise<string> {
    const answer = await send(host, { ...where, agent, method: 'HEAD', path: '/_ping' });
    answer.resume();
    const theirs = String(answer.headers['api-version'] ?? OLDEST_VERSION);
    return olderVersion(theirs, API_VERSION);
  }

  async function request(method: string, path: string, options: ApiRequest = {}): Promise<IncomingMessage> {
    const target = `/v${await version()}${path}${encodeQuery(options.query)}`;
    const answer = await send(host, { ...where, agent, method, path: target }, options);
    return await successful(answer);
  }

  return {
    host,
    version,
    request,
    async json<T>(method: string, path: string, options?: ApiRequest): Promise<T> {
      const text = await readText(await request(method, path, options));
      return (text.trim() ? JSON.parse(text) : undefined) as T;
    },
    async hijack(path, options = {}) {
      const target = `/v${await version()}${path}${encodeQuery(options.query)}`;
      return await hijack(host, { ...where, agent: false, method: 'POST', path: target }, options);
    },
    close: () => agent.destroy(),
  };
}

/** `unix:///x` → the socket's path, `tcp://a:1` → address and port. */
export function parseHost(host: string): { socketPath: string } | { host: string; port: number } {
  const unix = /^unix:\/\/(\/.+)$/.exec(host);
  if (unix) return { socketPath: unix[1]! };
  const tcp = /^tcp:\/\/(\[[0-9a-f:]+\]|[^:/[\]]+):(\d+)\/?$/i.exec(host);
  if (tcp && Number(tcp[2]) <= 65535) return { host: tcp[1]!.replace(/^\[|\]$/g, ''), port: Number(tcp[2]) };
  throw new RangeError(
    `invalid host ${JSON.stringify(host)}: give unix:///path/of/socket or tcp://address:port`,
  );
}

/** The older of two versions of the API: `1.9` before `1.10`. */
export function olderVersion(a: string, b: string): string {
  const [majorA = 0, minorA = 0] = a.split('.').map(Number);
  const [majorB = 0, minorB = 0] = b.split('.').map(Number);
  return (majorA - majorB || minorA - minorB) < 0 ? a : b;
}

/** `?a=1&b=x`, in the order of the names, as Go's url.Values writes it; what is undefined, false or empty is left out. */
export function encodeQuery(query: ApiRequest['query'] = {}): string {
  const pairs = Object.entries(query)
    .filter(([, value]) => value !== undefined && value !== false && value !== '')
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${encodeURIComponent(value === true ? '1' : String(value))}`);
  return pairs.length ? `?${pairs.join('&')}` : '';
}

/** Everything that an answer says, as text. @throws ConnectionError when it breaks off */
export async function readText(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of chunksOf(answer)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** An answer's body, piece by piece. @throws ConnectionError when it breaks off: a shorter answer would look like a whole one */
export async function* chunksOf(answer: IncomingMessage): AsyncIterable<Buffer> {
  try {
    for await (const chunk of answer) yield chunk as Buffer;
  } catch (error) {
    if (!answer.errored) throw error;
    throw new ConnectionError('the daemon went away in the middle of its answer', { cause: error });
  }
}

function send(
  host: string,
  options: RequestOptions,
  { body, headers }: ApiRequest = {},
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ ...options, headers: requestHeaders(headers) }, resolve);
    request.on('error', (error) => reject(connectionError(host, error)));
    sendBody(request, body);
  });
}

//#region hijack
/**
 * Asks for a connection to be taken over. The request is HTTP; the answer `101 UPGRADED` is the last of HTTP on this connection.
 * A refusal is an ordinary answer, with the reason in its body.
 */
function hijack(host: string, options: RequestOptions, { body, headers }: ApiRequest): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const upgrade = { Connection: 'Upgrade', Upgrade: 'tcp', ...headers };
    const request = httpRequest({ ...options, headers: requestHeaders(upgrade) });
    request.on('error', (error) => reject(connectionError(host, error)));
    request.on('upgrade', (_answer, socket, head) => {
      // What the container said first may have come in the same packet as the answer's headers.
      if (head.length) socket.unshift(head);
      resolve(socket as Socket);
    });
    request.on('response', (answer) => {
      successful(answer).then(
        () => reject(new ConnectionError(`unable to upgrade to tcp, received ${answer.statusCode}`)),
        reject,
      );
    });
    sendBody(request, body);
  });
}
//#endregion

function requestHeaders(headers: ApiRequest['headers'] = {}): Record<string, string> {
  return { Host: 'api.moby.localhost', 'User-Agent': 'mydocker', ...headers };
}

function sendBody(request: ReturnType<typeof httpRequest>, body: object | undefined): void {
  if (body === undefined) request.end();
  else if (isStream(body)) {
    body.on('error', (error) => request.destroy(error));
    body.pipe(request);
  } else {
    const bytes = Buffer.from(JSON.stringify(body));
    request.setHeader('Content-Type', 'application/json');
    request.setHeader('Content-Length', bytes.length);
    request.end(bytes);
  }
}

function isStream(body: object): body is NodeJS.ReadableStream {
  return 'pipe' in body;
}

async function successful(answer: IncomingMessage): Promise<IncomingMessage> {
  const status = answer.statusCode ?? 0;
  // 304 is a success: the container was in the wanted state already.
  if ((status >= 200 && status < 300) || status === 304) return answer;
  throw new DaemonError(status, reasonOf(await readText(answer), answer));
}

function reasonOf(text: string, answer: IncomingMessage): string {
  try {
    const parsed = JSON.parse(text) as { message?: unknown };
    if (typeof parsed.message === 'string') return parsed.message.trim();
  } catch {
    // Not JSON: the text itself is all there is.
  }
  return text.trim() || `${answer.statusCode} ${answer.statusMessage}`;
}

function connectionError(host: string, error: NodeJS.ErrnoException): Error {
  if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED' || error.code === 'ENOTDIR')
    return new ConnectionError(
      `Cannot connect to the mydocker daemon at ${host}. Is the mydockerd daemon running?`,
      { cause: error },
    );
  if (error.code === 'EACCES')
    return new ConnectionError(
      `permission denied while trying to connect to the mydocker daemon socket at ${host}: it is root's; try sudo`,
      { cause: error },
    );
  return new ConnectionError(`error during connect: ${host}: ${error.message}`, { cause: error });
}
