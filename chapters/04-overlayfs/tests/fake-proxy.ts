import { createServer, request as httpRequest } from 'node:http';
import { connect, type AddressInfo } from 'node:net';

/** A proxy on loopback that passes everything on to one place, whatever name it was asked for; and tells what it was asked. */
export interface FakeProxy {
  address: string;
  /** `GET http://…` or `CONNECT host:port`, with the name that was given, if one was. */
  asked: string[];
  stop(): Promise<void>;
}

/** @param to where all requests end: `127.0.0.1:PORT`. @param allows whether a tunnel may be opened */
export async function fakeProxy(to: string, allows = true): Promise<FakeProxy> {
  const asked: string[] = [];
  const [host, port] = to.split(':') as [string, string];
  const who = (authorization = ''): string =>
    authorization && ` by ${Buffer.from(authorization.replace('Basic ', ''), 'base64').toString()}`;
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}${who(request.headers['proxy-authorization'])}`);
    const { pathname, search } = new URL(request.url!);
    const { method, headers } = request;
    const onward = httpRequest({ host, port, method, path: `${pathname}${search}`, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  server.on('connect', (request, socket) => {
    asked.push(`CONNECT ${request.url}${who(request.headers['proxy-authorization'])}`);
    if (!allows) return void socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    const onward = connect(Number(port), host, () =>
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n'),
    );
    for (const [from, into] of [[socket, onward], [onward, socket]] as const) from.on('error', () => into.destroy()).pipe(into); // prettier-ignore
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
