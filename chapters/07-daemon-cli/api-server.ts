import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { ApiError } from './api-error.ts';
import { plainCall, sendJson, upgradeCall, type Call } from './call.ts';
import type { Daemon } from './daemon.ts';
import { explain, log } from './log.ts';
import { API_VERSION, router } from './router.ts';
import { ROUTES } from './routes.ts';
import { ENGINE_VERSION } from './version.ts';

/** A server of the Engine API: not listening yet. */
export function apiServer(daemon: Daemon): Server {
  const route = router(ROUTES);
  const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 });

  const answer = async (
    request: IncomingMessage,
    makeCall: (match: { params: Record<string, string>; version: string; query: URLSearchParams }) => Call,
    fail: (status: number, message: string) => void,
  ): Promise<void> => {
    try {
      const url = new URL(request.url ?? '/', 'http://daemon');
      log('debug', `${request.method} ${request.url}`);
      const { handler, ...match } = route(request.method ?? 'GET', url.pathname);
      await handler(daemon, makeCall({ ...match, query: url.searchParams }));
    } catch (error) {
      const status = error instanceof ApiError ? error.status : 500;
      if (status === 500) log('error', `${request.method} ${request.url}`, error);
      fail(status, error instanceof ApiError ? error.message : explain(error));
    }
  };

  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    response.setHeader('Api-Version', API_VERSION);
    response.setHeader('Docker-Experimental', 'false');
    response.setHeader('Ostype', 'linux');
    response.setHeader('Server', `mydocker/${ENGINE_VERSION} (linux)`);
    response.on('error', () => undefined);
    void answer(
      request,
      (match) => plainCall(request, response, match),
      (status, message) => {
        if (response.headersSent) response.destroy();
        else if (status === 304) response.writeHead(304).end();
        else sendJson(response, status, { message });
      },
    );
  });

  server.on('upgrade', (request: IncomingMessage, stream, head: Buffer) => {
    const socket = stream as Socket;
    socket.on('error', () => socket.destroy());
    let call: Call | undefined;
    void answer(
      request,
      (match) => (call = upgradeCall(request, socket, head, match)),
      (status, message) => {
        const answerTo = call ?? upgradeCall(request, socket, head, noMatch());
        answerTo.json(status, { message });
      },
    );
  });
  return server;
}

const noMatch = () => ({ params: {}, version: API_VERSION, query: new URLSearchParams() });
