import { createServer, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { readUpgradeBody, takeChunks, upgradeAnswer } from '../hijack.ts';

let server: Server | undefined;
afterEach(() => new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve())));

/** A server that reads the body of an upgrade, answers, and then sends back in capitals whatever comes, until the client's half ends. */
async function startServer(): Promise<string> {
  const path = join(tmpdir(), `07d-${Math.random().toString(36).slice(2)}.sock`);
  server = createServer().on('upgrade', (request, stream, head: Buffer) => {
    const socket = stream as Socket;
    readUpgradeBody(request, socket, head).then(
      (body) => {
        socket.write(upgradeAnswer('application/vnd.docker.raw-stream'));
        socket.write(`body=${body.toString()};`);
        socket.on('data', (data: Buffer) => socket.write(data.toString().toUpperCase()));
        socket.on('end', () => socket.end('!'));
        socket.resume();
      },
      (error: Error) => socket.end(`refused: ${error.message}`),
    );
  });
  await new Promise<void>((resolve) => server!.listen(path, resolve));
  return path;
}

/** Sends pieces one after another, closes this half, and returns everything that came back. */
async function talk(path: string, pieces: string[]): Promise<string> {
  const socket = connect({ path, allowHalfOpen: true });
  let got = '';
  socket.on('data', (data: Buffer) => (got += data.toString()));
  // What is refused may end before all pieces are sent.
  socket.on('error', () => undefined);
  const ended = new Promise<void>((resolve) => socket.on('end', resolve));
  for (const piece of pieces) {
    socket.write(piece);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  socket.end();
  await Promise.race([
    ended,
    new Promise((_, reject) => setTimeout(() => reject(new Error(`got only ${got}`)), 30_000).unref()),
  ]);
  return got;
}

const head = (...lines: string[]): string =>
  ['POST /exec/x/start HTTP/1.1', 'Host: x', 'Connection: Upgrade', 'Upgrade: tcp', ...lines, '', ''].join(
    '\r\n',
  );
const ANSWER = upgradeAnswer('application/vnd.docker.raw-stream');

describe('an upgraded connection', () => {
  test('is answered byte for byte as Docker does', () => {
    expect(ANSWER).toBe(
      'HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n',
    );
  });

  test('gives the body by its length, and what follows in the same packet to the stream', async () => {
    const path = await startServer();
    expect(await talk(path, [`${head('Content-Length: 2')}{}early `, 'late'])).toBe(
      `${ANSWER}body={};EARLY LATE!`,
    );
  });

  test('gives a body that comes in pieces', async () => {
    const path = await startServer();
    expect(await talk(path, [head('Content-Length: 4'), 'ab', 'cd', 'in'])).toBe(`${ANSWER}body=abcd;IN!`);
  });

  test('gives a chunked body without its framing', async () => {
    const path = await startServer();
    const pieces = [
      head('Transfer-Encoding: chunked'),
      '2\r\n{"\r\n',
      '3\r\na":',
      '\r\n2\r\n1}\r\n0\r\n\r\nin',
    ];
    expect(await talk(path, pieces)).toBe(`${ANSWER}body={"a":1};IN!`);
  });

  test('needs no body', async () => {
    const path = await startServer();
    expect(await talk(path, [head(), 'in'])).toBe(`${ANSWER}body=;IN!`);
  });

  test('stays open for the answer when the client has closed its half', async () => {
    const path = await startServer();
    expect(await talk(path, [head('Content-Length: 0')])).toBe(`${ANSWER}body=;!`);
  });

  test('refuses a body that ends too early, and chunks that are none', async () => {
    const path = await startServer();
    expect(await talk(path, [head('Content-Length: 9'), 'abc'])).toContain('refused: the connection ended');
    expect(() => takeChunks(Buffer.from('zz\r\n'))).toThrow('not chunked');
  });
});
