import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

/** What the daemon answers, byte for byte, before the connection stops being HTTP. */
export function upgradeAnswer(contentType: string): string {
  return [
    'HTTP/1.1 101 UPGRADED',
    `Content-Type: ${contentType}`,
    'Connection: Upgrade',
    'Upgrade: tcp',
    '',
    '',
  ].join('\r\n');
}

/**
 * Reads the body of a request that asks for an upgrade, and leaves on the socket what comes after it: the first of the raw stream.
 * Node up to 24 ends the request at its headers and leaves the body, chunk framing included, in `head` and on the socket; Node 26
 * gives the body on the request. Both are read here. The socket may be left paused: whoever reads on resumes it.
 * @throws Error when the connection ends within the body, or its framing is wrong
 */
export async function readUpgradeBody(
  request: IncomingMessage,
  socket: Socket,
  head: Buffer,
): Promise<Buffer> {
  const parsed: Buffer[] = [];
  for await (const chunk of request) parsed.push(chunk as Buffer);
  if (parsed.length > 0) {
    if (head.length > 0) socket.unshift(head);
    return Buffer.concat(parsed);
  }
  //#gap 07.3 readUpgradeBody
  const length = Number(request.headers['content-length'] ?? 0);
  const chunked = /\bchunked\b/i.test(request.headers['transfer-encoding'] ?? '');
  let bytes = head;
  for (;;) {
    const found = chunked ? takeChunks(bytes) : takeLength(bytes, length);
    if (found) {
      // What follows the body is the stream itself: a quick client may have sent it in the same packet.
      if (found.rest.length > 0) socket.unshift(found.rest);
      return found.body;
    }
    bytes = Buffer.concat([bytes, await nextData(socket)]);
  }
  //#end
}

interface Taken {
  body: Buffer;
  rest: Buffer;
}

function takeLength(bytes: Buffer, length: number): Taken | undefined {
  return bytes.length < length
    ? undefined
    : { body: bytes.subarray(0, length), rest: bytes.subarray(length) };
}

/** Chunked coding: `SIZE in hex CRLF, data, CRLF`, until a chunk of size 0. RFC 9112, section 7.1. */
export function takeChunks(bytes: Buffer): Taken | undefined {
  const parts: Buffer[] = [];
  for (let at = 0; ;) {
    const line = bytes.indexOf('\r\n', at);
    if (line === -1) return undefined;
    const size = /^[0-9a-fA-F]{1,8}(?=;|$)/.exec(bytes.toString('latin1', at, line))?.[0];
    if (size === undefined) throw new Error('the body of the request is not chunked as it says');
    const begin = line + 2;
    const end = begin + parseInt(size, 16);
    if (bytes.length < end + 2) return undefined;
    if (end === begin) return { body: Buffer.concat(parts), rest: bytes.subarray(end + 2) };
    parts.push(bytes.subarray(begin, end));
    at = end + 2;
  }
}

function nextData(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      socket.off('data', onData).off('end', onEnd).off('close', onEnd).off('error', onEnd);
      socket.pause();
    };
    const onData = (data: Buffer): void => {
      done();
      resolve(data);
    };
    const onEnd = (): void => {
      done();
      reject(new Error('the connection ended within the body of the request'));
    };
    socket.on('data', onData).on('end', onEnd).on('close', onEnd).on('error', onEnd);
    socket.resume();
  });
}
