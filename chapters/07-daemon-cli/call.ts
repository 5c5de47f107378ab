import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { badParameter } from './api-error.ts';
import { readUpgradeBody, upgradeAnswer } from './hijack.ts';

/** Bodies of JSON larger than this are refused. Bytes. */
const MAX_JSON = 8 << 20;

export const RAW_STREAM = 'application/vnd.docker.raw-stream';
export const MULTIPLEXED_STREAM = 'application/vnd.docker.multiplexed-stream';

/** One request, and the ways to answer it. Exactly one of them is used, once. */
export interface Call {
  readonly request: IncomingMessage;
  /** What the holes in the route's pattern matched. */
  readonly params: Record<string, string>;
  readonly query: URLSearchParams;
  /** The API version that the client speaks. */
  readonly version: string;
  /** Aborted when the client is gone. */
  readonly gone: AbortSignal;
  /** The body as JSON; `{}` where it is empty. @throws ApiError 400 */
  body<T extends object>(): Promise<Partial<T>>;
  json(status: number, body: unknown): void;
  empty(status: number): void;
  /** Sends the headers at once; the body is written piece by piece, and ended by the handler. */
  stream(status: number, contentType: string, headers?: Record<string, string>): ServerResponse;
  /** Ends HTTP on this connection and gives its two directions. Only after `body`, where there is one. */
  hijack(contentType: string): Socket;
}

/** A call that is answered as HTTP. */
export function plainCall(
  request: IncomingMessage,
  response: ServerResponse,
  match: { params: Record<string, string>; version: string; query: URLSearchParams },
): Call {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  return {
    request,
    ...match,
    gone: gone.signal,
    body: async () => parseBody(await readAll(request)),
    json: (status, body) => sendJson(response, status, body),
    empty: (status) => void response.writeHead(status).end(),
    stream: (status, contentType, headers = {}) => {
      response.writeHead(status, { 'Content-Type': contentType, ...headers });
      response.flushHeaders();
      return response;
    },
    hijack: (contentType) => {
      // A client of before 1.24 says nothing of an upgrade: the stream is the rest of an answer that names no length.
      const socket = response.socket!;
      response.detachSocket(socket);
      socket.write(`HTTP/1.1 200 OK\r\nContent-Type: ${contentType}\r\n\r\n`);
      return socket;
    },
  };
}

/** A call that asked for an upgrade: HTTP's half of Node is out of the way already, so answers are written by hand. */
export function upgradeCall(
  request: IncomingMessage,
  socket: Socket,
  head: Buffer,
  match: { params: Record<string, string>; version: string; query: URLSearchParams },
): Call {
  const gone = new AbortController();
  socket.once('close', () => gone.abort());
  let body: Promise<Buffer> | undefined;
  let hijacked = false;
  const send = (status: number, text: string): void => {
    if (hijacked) return void socket.destroy();
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
    );
  };
  return {
    request,
    ...match,
    gone: gone.signal,
    body: async () => parseBody(await (body ??= readUpgradeBody(request, socket, head))),
    json: (status, value) => send(status, `${JSON.stringify(value)}\n`),
    empty: (status) => send(status, ''),
    stream: () => {
      throw badParameter('this request cannot be upgraded');
    },
    hijack: (contentType) => {
      if (body === undefined && head.length > 0) socket.unshift(head);
      hijacked = true;
      socket.write(upgradeAnswer(contentType));
      return socket;
    },
  };
}

/** Answers with JSON, as an ordinary HTTP answer. */
export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(text),
  });
  response.end(response.req.method === 'HEAD' ? undefined : text);
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > MAX_JSON) throw badParameter(`the body of the request is larger than ${MAX_JSON} bytes`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

function parseBody<T extends object>(bytes: Buffer): Partial<T> {
  if (bytes.length === 0) return {};
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch (error) {
    throw badParameter(`the body of the request is not JSON: ${(error as Error).message}`);
  }
  if (value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value))
    throw badParameter('the body of the request is not a JSON object');
  return value;
}

/** Sends bytes as fast as the client takes them, and ends the answer. A client that goes away ends the reading. */
export async function send(
  answer: ServerResponse,
  source: AsyncIterable<Uint8Array>,
  gone: AbortSignal,
): Promise<void> {
  for await (const chunk of source) {
    if (gone.aborted) return;
    if (!answer.write(chunk))
      await new Promise((resolve) => answer.once('drain', resolve).once('close', resolve));
  }
  answer.end();
}

/** Go's strconv.ParseBool, as the daemon reads its queries: absent is false. */
export function flag(query: URLSearchParams, name: string): boolean {
  const value = query.get(name)?.toLowerCase() ?? '';
  return !['', '0', 'no', 'false', 'none', 'f'].includes(value);
}

/** A whole number in a query; undefined when absent. @throws ApiError 400 */
export function integer(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  if (!/^-?\d+$/.test(text))
    throw badParameter(`invalid ${name} ${JSON.stringify(text)}: give a whole number`);
  return Number(text);
}

/** `filters={"status":{"exited":true}}`, or the older `{"status":["exited"]}`. @throws ApiError 400 */
export function filters(query: URLSearchParams, allowed: readonly string[]): Map<string, string[]> {
  const text = query.get('filters');
  const result = new Map<string, string[]>();
  if (!text) return result;
  let parsed: Record<string, string[] | Record<string, boolean>>;
  try {
    parsed = JSON.parse(text) as typeof parsed;
  } catch {
    throw badParameter(`invalid filters ${JSON.stringify(text)}: give a JSON object`);
  }
  for (const [name, values] of Object.entries(parsed)) {
    if (!allowed.includes(name)) throw badParameter(`invalid filter '${name}'`);
    result.set(name, Array.isArray(values) ? values : Object.keys(values).filter((value) => values[value]));
  }
  return result;
}
