import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest, type Agent as HttpsAgent } from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { rootCertificates } from 'node:tls';
import { quoted } from './errors.ts';
import { directAgents, hostOf, proxyAuthorization, proxyFor, tunnelAgent } from './proxy.ts';
import { RegistryError, Unreachable } from './registry-error.ts';

export interface HttpOptions {
  /** Certificates of authorities (PEM) that are trusted beside the machine's own. */
  ca?: readonly string[];
  /** Takes any certificate. Docker does so for registries named as insecure. */
  anyCertificate?: boolean;
  /** After so long without a byte a connection counts as dead. Milliseconds; 30,000 unless told. */
  stall?: number;
  /** Where `HTTP_PROXY` and its kin are looked up: this process' environment unless told. */
  environment?: NodeJS.ProcessEnv | undefined;
}

export interface HttpRequest {
  method: string;
  url: URL;
  headers?: Readonly<Record<string, string | number>>;
  /** Bytes, or what begins a stream of as many as `Content-Length` says: a request that is sent again begins it anew. */
  body?: Uint8Array | (() => AsyncIterable<Uint8Array>);
  signal?: AbortSignal | undefined;
}

/** The head of an answer, whatever its status. The body is read, or thrown away with `resume()`, by the caller. */
export interface HttpAnswer {
  status: number;
  headers: IncomingMessage['headers'];
  body: IncomingMessage;
  /** Where it came from in the end. */
  url: URL;
}

export interface Http {
  /** One request, one answer. @throws Unreachable when there is none */
  send(request: HttpRequest): Promise<HttpAnswer>;
  /**
   * The same, going where a redirection points: of GET and HEAD only.
   * @throws Unreachable; RegistryError for a circle, and for what leads out of TLS or out of HTTP
   */
  follow(request: HttpRequest): Promise<HttpAnswer>;
  close(): void;
}

const MAX_REDIRECTS = 5;
const REDIRECTS = [301, 302, 303, 307, 308];

/** HTTP with and without TLS, over connections that are kept; through a proxy where the environment names one. */
export function openHttp({
  ca,
  anyCertificate = false,
  stall = 30_000,
  environment = process.env,
}: HttpOptions = {}): Http {
  const trust = {
    rejectUnauthorized: !anyCertificate,
    ...(ca?.length && { ca: [...ca, ...rootCertificates] }),
    // Who is not asked for a certificate that we trust: to read the machine's own would take an eighth of a second.
    ...(anyCertificate && { ca: [] }),
  };
  const { plain, tls } = directAgents(trust);
  /** By the proxy's address. */
  const tunnels = new Map<string, HttpsAgent>();
  function tunnel(proxy: URL): HttpsAgent {
    const known = tunnels.get(proxy.href) ?? tunnelAgent(proxy, trust);
    tunnels.set(proxy.href, known);
    return known;
  }

  function send({ method, url, headers = {}, body, signal }: HttpRequest): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void => reject(new Unreachable(`${method} ${where(url)}`, error));
      if (signal?.aborted) return fail(signal.reason);
      const secure = url.protocol === 'https:';
      const proxy = proxyFor(url, environment);
      const isLarge = typeof body === 'function' && Number(headers['Content-Length']) > LARGE;
      const options = {
        method,
        headers: { 'User-Agent': 'mydocker', ...headers, ...(isLarge && { Expect: '100-continue' }) },
        timeout: stall, // connecting is part of it; request.setTimeout() would begin to count after that
        ...(signal && { signal }),
      };
      const request = secure
        ? httpsRequest(url, { ...options, agent: proxy ? tunnel(proxy) : tls })
        : httpRequest(url, {
            ...options,
            agent: plain,
            ...(proxy && throughProxy(proxy, url, options.headers)),
          });
      request.on('error', fail);
      /** What a stall ends: once there is an answer, whoever reads it must hear why. */
      let begun: { destroy(error: Error): void } = request;
      request.on('timeout', () => {
        // Perhaps it was this process that stood still, and bytes wait: a timer may come before the reading, setImmediate comes after.
        const before = progressOf(request);
        setImmediate(() => {
          if (progressOf(request) === before) begun.destroy(stalled(stall));
        });
      });
      request.on('response', (answer) => {
        // An error in the middle of the body reaches whoever reads it; one that nobody reads is nobody's.
        answer.on('error', () => undefined);
        begun = answer;
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: answer, url });
      });
      if (typeof body !== 'function') return void request.end(body);
      const wanted = isLarge ? isWanted(request) : Promise.resolve(true);
      wanted
        // An answer that comes before everything is sent is what counts, and ends the sending.
        .then((yes) => (yes ? pipeline(Readable.from(body(), { objectMode: false }), request) : undefined))
        .catch(fail);
    });
  }

  async function follow(request: HttpRequest): Promise<HttpAnswer> {
    let { url, headers } = request;
    for (let hops = 0; ; hops++) {
      const answer = await send({ ...request, url, ...(headers && { headers }) });
      const { location } = answer.headers;
      if (!REDIRECTS.includes(answer.status) || !location) return answer;
      answer.body.resume();
      const refuse = (why: string): never => {
        throw new RegistryError(answer.status, `${request.method} ${where(url)}: redirected ${why}`);
      };
      if (!URL.canParse(location, url.href)) refuse(`to ${quoted(location)}, which is no address`);
      const next = new URL(location, url);
      if (!/^https?:$/.test(next.protocol))
        refuse(`to ${quoted(location)}: only http and https are followed`);
      if (hops === MAX_REDIRECTS) refuse(`without end: to ${where(next)} after ${hops} others`);
      if (url.protocol === 'https:' && next.protocol === 'http:') refuse(`out of TLS, to ${where(next)}`);
      // The password is for the host that asked for it, not for the storage that it points to.
      if (next.host !== url.host) headers = withoutAuthorization(headers);
      url = next;
    }
  }

  return {
    send,
    follow,
    close: () => {
      for (const agent of [plain, tls, ...tunnels.values()]) agent.destroy();
    },
  };
}

/**
 * Whether the other side, having looked at the head of a request, wants the body: `100 Continue`. Whoever refuses (401, 413) can so do it
 * before the bytes; an answer that comes while nobody reads them is lost when the connection breaks under them.
 * Source: RFC 9110, section 10.1.1.
 */
function isWanted(request: ClientRequest): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(true), PATIENCE);
    request.once('continue', () => resolve(true));
    request.once('close', () => resolve(false));
    request.once('close', () => clearTimeout(timer));
    request.once('response', (answer: IncomingMessage) => {
      resolve(false);
      // A connection on which a body is missing is of no use for the next request.
      answer.once('end', () => request.writableEnded || request.destroy());
    });
  });
}

/** Bodies of more bytes are not sent before they are wanted: as curl does it. */
const LARGE = 1 << 20;
/** How long that may take, in milliseconds: some servers never say it. */
const PATIENCE = 1000;

/** Differs when anything has happened on a request's connection. */
const progressOf = ({ socket }: ClientRequest): string =>
  socket ? `${socket.connecting} ${socket.bytesRead} ${socket.bytesWritten}` : '';

/** What a connection ends with on which nothing came for so long, in milliseconds. */
const stalled = (time: number): Error =>
  Object.assign(new Error(`no byte for ${time / 1000} s: the registry stalls`), { code: 'ETIMEDOUT' });

/** Without TLS a proxy is asked for the whole address. RFC 9112, section 3.2.2. */
const throughProxy = (proxy: URL, url: URL, headers: NonNullable<HttpRequest['headers']>) => ({
  ...hostOf(proxy),
  path: `${url.origin}${url.pathname}${url.search}`,
  headers: { ...headers, Host: url.host, ...proxyAuthorization(proxy) },
});

/** An address for messages: without what signs it. */
export const where = (url: URL): string => `${url.origin}${url.pathname}`;

function withoutAuthorization(headers: HttpRequest['headers'] = {}): Record<string, string | number> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !/^authorization$/i.test(name)));
}

/** A small body whole. @throws Unreachable when it breaks off, RegistryError when it is larger than `limit` bytes */
export async function readBody({ body, url, status }: HttpAnswer, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body) {
      size += (chunk as Buffer).length;
      if (size > limit) break;
      chunks.push(chunk as Buffer);
    }
  } catch (error) {
    throw new Unreachable(`GET ${where(url)}`, error);
  }
  if (size > limit) throw new RegistryError(status, `${where(url)}: more than ${limit} bytes: refused`);
  return Buffer.concat(chunks);
}
