import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readUpgradeBody, upgradeAnswer } from '../hijack.ts';

/** One request that the fake daemon got. `path` is without the version. */
export interface Recorded {
  method: string;
  version: string;
  path: string;
  query: Record<string, string>;
  body: string;
  bytes: Buffer;
}

export type Answer =
  | { status?: number; json?: unknown; raw?: Buffer; headers?: Record<string, string> }
  /** The request stays unanswered until this answers it. */
  | ((response: ServerResponse, request: Recorded) => void);

export interface FakeDaemon {
  host: string;
  directory: string;
  requests: Recorded[];
  /** May be changed while it runs. */
  answers: Record<string, Answer>;
  close(): Promise<void>;
}

/**
 * A daemon that knows only what it is told: answers by `METHOD /path`, and what it does with hijacked connections. It keeps no container; it is
 * here to see what the client sends, and to say things to it that a real daemon says seldom.
 */
export async function fakeDaemon({
  answers = {},
  hijacked,
  apiVersion = '1.47',
}: {
  answers?: Record<string, Answer>;
  /** Gets the connection when the client has been told; it may be paused. */
  hijacked?: (socket: Socket, request: Recorded) => void;
  apiVersion?: string;
}): Promise<FakeDaemon> {
  const directory = mkdtempSync(join(tmpdir(), 'mydocker-07c-'));
  const socketPath = join(directory, 'd.sock');
  const requests: Recorded[] = [];
  const server = createServer((request, response) => {
    void readAll(request).then((bytes) => {
      if (!bytes) return;
      const recorded = record(request, bytes);
      if (recorded.path === '/_ping') {
        response.writeHead(200, { 'Api-Version': apiVersion, Ostype: 'linux' }).end();
        return;
      }
      requests.push(recorded);
      const answer = answers[`${recorded.method} ${recorded.path}`] ?? {
        status: 404,
        json: { message: `page not found: ${recorded.path}` },
      };
      if (typeof answer === 'function') answer(response, recorded);
      else {
        const text = answer.raw ?? (answer.json === undefined ? '' : JSON.stringify(answer.json));
        response
          .writeHead(answer.status ?? (text === '' ? 204 : 200), {
            'Content-Type': 'application/json',
            ...answer.headers,
          })
          .end(text);
      }
    });
  });
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  server.on('upgrade', (request, stream, head) => {
    const socket = stream as Socket;
    socket.allowHalfOpen = true;
    socket.on('error', () => {});
    // The body may come after the head, and is no input of the container.
    void readUpgradeBody(request, socket, head).then(
      (bytes) => {
        const recorded = record(request, bytes);
        requests.push(recorded);
        socket.write(upgradeAnswer('application/vnd.docker.raw-stream'));
        hijacked?.(socket, recorded);
      },
      () => socket.destroy(),
    );
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  return {
    host: `unix://${socketPath}`,
    directory,
    requests,
    answers,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** One frame of output as the daemon sends it. */
export function frame(stream: 1 | 2 | 3, data: string | Buffer): Buffer {
  const payload = Buffer.from(data);
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
}

/** A request's body; undefined when the client has gone in the middle of it: nobody waits for an answer. */
async function readAll(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks);
}

function record(request: IncomingMessage, bytes: Buffer): Recorded {
  const url = new URL(request.url ?? '/', 'http://x');
  const [, version = '', path = url.pathname] = /^\/v([\d.]+)(\/.*)$/.exec(url.pathname) ?? [];
  return {
    method: request.method ?? '',
    version,
    path,
    query: Object.fromEntries(url.searchParams),
    body: bytes.toString(),
    bytes,
  };
}
