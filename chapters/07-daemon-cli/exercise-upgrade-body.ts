import { createServer } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expectSame, type Exercise, type Trial } from '../01-processes/index.ts';
import { answer, within } from './exercise-support.ts';
import { readUpgradeBody, upgradeAnswer } from './hijack.ts';

export const upgrading: Exercise = {
  gap: '07.3',
  task: 'Read the body of a request that becomes a raw stream, and leave on the socket what comes after it.',
  hints: [
    'When the headers ask for an upgrade, Node stops being HTTP: what follows them is bytes, and nobody has looked for the end of the body. It may come in several packets, and what belongs to the stream may be in the last of them.',
    'The headers say how long the body is: content-length, or transfer-encoding: chunked. takeLength and takeChunks give body and rest once there is enough; nextData(socket) waits for more; socket.unshift puts bytes back.',
    'bytes = head; for (;;): found = chunked ? takeChunks(bytes) : takeLength(bytes, length); found: unshift found.rest if it has any, return found.body; else bytes = concat(bytes, await nextData(socket)).',
  ],
  check: checkUpgradeBody,
  wrong: [
    {
      mistake: 'takes what came with the headers for the whole body',
      code: `const length = Number(request.headers['content-length'] ?? 0);
const chunked = /chunked/i.test(request.headers['transfer-encoding'] ?? '');
const found = chunked ? takeChunks(head) : { body: head.subarray(0, length), rest: head.subarray(length) };
if (found && found.rest.length > 0) socket.unshift(found.rest);
return found?.body ?? head;`,
      diagnosis: 'in the next packet',
    },
    {
      mistake: 'drops what follows the body',
      code: `const length = Number(request.headers['content-length'] ?? 0);
const chunked = /chunked/i.test(request.headers['transfer-encoding'] ?? '');
let bytes = head;
for (;;) {
  const found = chunked ? takeChunks(bytes) : takeLength(bytes, length);
  if (found) return found.body;
  bytes = Buffer.concat([bytes, await nextData(socket)]);
}`,
      diagnosis: 'the stream itself',
    },
    {
      mistake: 'knows no chunked bodies',
      code: `const length = Number(request.headers['content-length'] ?? 0);
let bytes = head;
for (;;) {
  const found = takeLength(bytes, length);
  if (found) {
    if (found.rest.length > 0) socket.unshift(found.rest);
    return found.body;
  }
  bytes = Buffer.concat([bytes, await nextData(socket)]);
}`,
      diagnosis: 'transfer-encoding',
    },
    {
      mistake: 'reads until the connection ends',
      code: `const bytes = [head];
for await (const data of socket) bytes.push(data as Buffer);
return Buffer.concat(bytes);`,
      diagnosis: 'does not end here',
    },
  ],
};

async function checkUpgradeBody(t: Trial): Promise<void> {
  const path = join(t.folder(), 'http.sock');
  let heard: ((what: { body: string; stream: string }) => void) | undefined;
  let failed: ((error: unknown) => void) | undefined;
  const server = createServer();
  server.on('upgrade', (request, socket, head) => {
    void (async () => {
      const body = await readUpgradeBody(request, socket as Parameters<typeof readUpgradeBody>[1], head);
      socket.write(upgradeAnswer('application/vnd.docker.raw-stream'));
      let stream = '';
      socket.on('data', (data: Buffer) => void (stream += data.toString()));
      socket.once('end', () => heard?.({ body: body.toString(), stream }));
      socket.resume();
    })().catch((error: unknown) => failed?.(error));
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.cleanup(() => {
    server.closeAllConnections();
    server.close();
  });
  /** Sends a request for an upgrade, piece by piece; the end of the stream comes when it has been answered. */
  const send = async (header: string, pieces: readonly string[]): Promise<object | string> => {
    const client = connect(path);
    t.cleanup(() => void client.destroy());
    client.on('error', () => undefined);
    client.once('data', () => client.end());
    const result = new Promise<{ body: string; stream: string }>((resolve, reject) => {
      heard = resolve;
      failed = reject;
    });
    result.catch(() => undefined);
    const [first, ...others] = pieces;
    const headers = ['POST /exec HTTP/1.1', 'Host: x', 'Connection: Upgrade', 'Upgrade: tcp'];
    client.write(`${[...headers, ...(header ? [header] : []), '', ''].join('\r\n')}${first ?? ''}`);
    for (const piece of others) {
      await sleep(40);
      client.write(piece);
    }
    try {
      return (await within(2000, result)) ?? 'no answer';
    } catch (error) {
      return answer(error).message;
    } finally {
      client.destroy();
    }
  };
  const body = JSON.stringify({ Tty: true, word: t.word().repeat(t.number(1, 4)) });
  const words = t.word();
  const at = t.number(1, body.length - 1);
  const length = `Content-Length: ${body.length}`;

  const whole = await send(length, [body]);
  expectSame(
    'a body that came with its headers',
    { body, stream: '' },
    whole,
    whole === 'no answer'
      ? 'The connection does not end here: it becomes the stream. content-length says where the body ends.'
      : 'The bytes after the headers are in `head`; content-length says how many are the body.',
  );
  expectSame(
    'a body in two packets',
    { body, stream: '' },
    await send(length, [body.slice(0, at), body.slice(at)]),
    'The rest of the body came in the next packet: wait for it with nextData.',
  );
  expectSame(
    'a body, and the first words of the stream in the same packet',
    { body, stream: words },
    await send(length, [body.slice(0, at), body.slice(at) + words]),
    'What follows the body is the stream itself, and a quick client has sent it already: put it back with socket.unshift.',
  );
  const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;
  const chunked = `${chunk(body.slice(0, at))}${chunk(body.slice(at))}0\r\n\r\n${words}`;
  const middle = t.number(1, chunked.length - words.length - 1);
  expectSame(
    'a chunked body',
    { body, stream: words },
    await send('Transfer-Encoding: chunked', [chunked.slice(0, middle), chunked.slice(middle)]),
    'Without content-length look at transfer-encoding: a chunked body tells its own end. takeChunks.',
  );
  const nobody = await send('', [words]);
  expectSame('no body at all', { body: '', stream: words }, nobody, 'No length is a length of 0.');
}
