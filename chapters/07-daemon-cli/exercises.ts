import { spawn, type ChildProcess } from 'node:child_process';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  expectSame,
  expectThat,
  SIGNALS,
  signalName,
  Wrong,
  type Exercise,
  type Trial,
} from '../01-processes/index.ts';
import { demultiplex, type OutputFrame } from './cli-demultiplex.ts';
import type { ContainerRecord } from './container.ts';
import type { Daemon } from './daemon.ts';
import { readUpgradeBody, upgradeAnswer } from './hijack.ts';
import { openRuns, type Run } from './runs.ts';
import { frame, type StreamNumber } from './stdcopy.ts';
import { stopContainer } from './stop-container.ts';
import { detachFilter } from './terminal.ts';

export const exercises: readonly Exercise[] = [
  {
    gap: '07.1',
    task: 'Put Docker’s header before a piece of a container’s output.',
    hints: [
      'Two streams share one connection. Before each piece it must be said whose it is, and where it ends.',
      'Engine API, ContainerAttach, "Stream format": eight bytes, [stream, 0, 0, 0, length]; the length has four bytes, big endian.',
      'Buffer.alloc(HEADER_BYTES + data.length); writeUInt8(stream, 0); writeUInt32BE(data.length, 4); set(data, HEADER_BYTES).',
    ],
    check: checkFrame,
    wrong: [
      {
        mistake: 'writes the length as little endian',
        code: `const framed = Buffer.alloc(HEADER_BYTES + data.length);
framed.writeUInt8(stream, 0);
framed.writeUInt32LE(data.length, 4);
framed.set(data, HEADER_BYTES);
return framed;`,
        diagnosis: 'big endian',
      },
      {
        mistake: 'counts the header as part of the length',
        code: `const framed = Buffer.alloc(HEADER_BYTES + data.length);
framed.writeUInt8(stream, 0);
framed.writeUInt32BE(framed.length, 4);
framed.set(data, HEADER_BYTES);
return framed;`,
        diagnosis: 'of the data alone',
      },
      {
        mistake: 'writes a length of two bytes',
        code: `const framed = Buffer.alloc(HEADER_BYTES + data.length);
framed.writeUInt8(stream, 0);
framed.writeUInt16BE(data.length & 0xffff, 6);
framed.set(data, HEADER_BYTES);
return framed;`,
        diagnosis: 'four bytes',
      },
      {
        mistake: 'counts characters instead of bytes',
        code: `const text = Buffer.from(data).toString();
const header = Buffer.alloc(HEADER_BYTES);
header.writeUInt8(stream, 0);
header.writeUInt32BE(text.length, 4);
return Buffer.concat([header, Buffer.from(text)]);`,
        diagnosis: 'Output is bytes',
      },
    ],
  },
  {
    gap: '07.2',
    task: 'Take a container’s two outputs apart again, however the bytes arrive.',
    hints: [
      'A connection cuts its bytes anywhere: in a header too. And a frame may be larger than what you want to keep in memory.',
      'Remember between the pieces: bytes of an incomplete header, the stream of the frame that you are in, how much of it is left. `yield` gives data on.',
      'For each chunk: without a frame, wait for HEADER_BYTES, read stream and length; give on rest.subarray(0, left), left -= its length; at 0 the frame is over. Stream 3 is an error to throw; so is an end within a frame.',
    ],
    check: checkDemultiplex,
    wrong: [
      {
        mistake: 'takes every piece for one frame',
        code: `for await (const chunk of chunks) {
  const data = chunk.subarray(HEADER_BYTES, HEADER_BYTES + chunk.readUInt32BE(4));
  if (chunk[0] === 3) throw new Error(data.toString());
  yield { stream: chunk[0] === 2 ? 'stderr' : 'stdout', data };
}`,
        diagnosis: 'cuts anywhere',
      },
      {
        mistake: 'collects a whole frame before it gives anything on',
        code: `let rest: Buffer = Buffer.alloc(0);
for await (const chunk of chunks) {
  rest = Buffer.concat([rest, chunk]);
  while (rest.length >= HEADER_BYTES && rest.length >= HEADER_BYTES + rest.readUInt32BE(4)) {
    const end = HEADER_BYTES + rest.readUInt32BE(4);
    const data = rest.subarray(HEADER_BYTES, end);
    if (rest[0] === 3) throw new Error(data.toString());
    if (data.length) yield { stream: rest[0] === 2 ? 'stderr' : 'stdout', data };
    rest = rest.subarray(end);
  }
}
if (rest.length) throw new Error('the connection ended within a frame');`,
        diagnosis: 'as it comes in',
      },
      {
        mistake: 'does not notice an end within a frame',
        code: demultiplexWith({ end: '' }),
        diagnosis: 'cut off',
      },
      {
        mistake: 'prints the daemon’s errors as output',
        code: demultiplexWith({ trouble: '' }),
        diagnosis: 'stream 3',
      },
      {
        mistake: 'reads the length as little endian',
        code: demultiplexWith({ length: 'rest.readUInt32LE(4)' }),
        diagnosis: 'big endian',
      },
    ],
  },
  {
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
  },
  {
    gap: '07.4',
    task: 'Find the detach keys in what is typed, and send on everything else.',
    hints: [
      'Ctrl-P alone is a key like any other. Whether it begins the sequence is known only with the next key, which comes in another call.',
      'What must be remembered between two calls is how many keys of the sequence have matched: they are the ones that were held back.',
      'For each byte: if it is keys[matched], matched += 1, and at keys.length return { send, detached: true }. Else send the held back keys.slice(0, matched), matched = 0, and look whether this byte is keys[0].',
    ],
    check: checkDetach,
    wrong: [
      {
        mistake: 'looks for the sequence in each piece alone',
        code: `return (typed) => {
  const at = keys.length ? typed.indexOf(Buffer.from(keys)) : -1;
  return at === -1 ? { send: typed, detached: false } : { send: typed.subarray(0, at), detached: true };
};`,
        diagnosis: 'one by one',
      },
      {
        mistake: 'swallows a key that began nothing',
        code: `let matched = 0;
return (typed) => {
  const send: number[] = [];
  for (const byte of typed) {
    if (keys.length && byte === keys[matched]) {
      matched += 1;
      if (matched === keys.length) return { send: Buffer.from(send), detached: true };
      continue;
    }
    matched = keys.length && byte === keys[0] ? 1 : 0;
    if (matched === 0) send.push(byte);
  }
  return { send: Buffer.from(send), detached: false };
};`,
        diagnosis: 'was held back',
      },
      {
        mistake: 'does not see that the next key begins the sequence again',
        code: `let matched = 0;
return (typed) => {
  const send: number[] = [];
  for (const byte of typed) {
    if (keys.length && byte === keys[matched]) {
      matched += 1;
      if (matched === keys.length) return { send: Buffer.from(send), detached: true };
      continue;
    }
    send.push(...keys.slice(0, matched), byte);
    matched = 0;
  }
  return { send: Buffer.from(send), detached: false };
};`,
        diagnosis: 'may itself begin',
      },
      {
        mistake: 'sends the first key at once',
        code: `let matched = 0;
return (typed) => {
  const send: number[] = [];
  for (const byte of typed) {
    matched = keys.length && byte === keys[matched] ? matched + 1 : keys.length && byte === keys[0] ? 1 : 0;
    if (keys.length && matched === keys.length) return { send: Buffer.from(send), detached: true };
    send.push(byte);
  }
  return { send: Buffer.from(send), detached: false };
};`,
        diagnosis: 'Hold it back',
      },
      {
        mistake: 'loses what was typed before the sequence',
        code: `let matched = 0;
return (typed) => {
  const send: number[] = [];
  for (const byte of typed) {
    if (keys.length && byte === keys[matched]) {
      matched += 1;
      if (matched === keys.length) return { send: Buffer.alloc(0), detached: true };
      continue;
    }
    send.push(...keys.slice(0, matched));
    matched = 0;
    if (keys.length && byte === keys[0]) matched = 1;
    else send.push(byte);
  }
  return { send: Buffer.from(send), detached: false };
};`,
        diagnosis: 'before the sequence',
      },
    ],
  },
  {
    gap: '07.5',
    task: 'End a container: ask with its stop signal, wait, and kill what is still there.',
    hints: [
      'The container may end within the very call that signals it. Who begins to wait afterwards waits for ever.',
      'run.nextEnd() is a promise of the next end; within(seconds, promise) tells whether it came in time; signalContainer sends a signal and does not wait.',
      'ended = run.nextEnd(); await signalContainer(daemon, record, asked); if (!(await within(grace, ended))) { await signalContainer(…, SIGNALS["SIGKILL"]!); await ended; }',
    ],
    check: checkStop,
    wrong: [
      {
        mistake: 'begins to wait after the signal',
        code: `await signalContainer(daemon, record, asked);
const ended = run.nextEnd();
if (!(await within(grace, ended))) {
  await signalContainer(daemon, record, SIGNALS['SIGKILL']!);
  await ended;
}`,
        diagnosis: 'Before the signal',
      },
      {
        mistake: 'kills at once',
        code: `const ended = run.nextEnd();
await signalContainer(daemon, record, SIGNALS['SIGKILL']!);
await within(grace, ended);`,
        diagnosis: 'put things in order',
      },
      {
        mistake: 'sends SIGTERM whatever the container asks for',
        code: `const ended = run.nextEnd();
await signalContainer(daemon, record, SIGNALS['SIGTERM']!);
if (!(await within(grace, ended))) {
  await signalContainer(daemon, record, SIGNALS['SIGKILL']!);
  await ended;
}`,
        diagnosis: 'its own stop signal',
      },
      {
        mistake: 'never kills',
        code: `const ended = run.nextEnd();
await signalContainer(daemon, record, asked);
await within(grace, ended);`,
        diagnosis: 'can be ignored',
      },
      {
        mistake: 'does not wait for the end after SIGKILL',
        code: `const ended = run.nextEnd();
await signalContainer(daemon, record, asked);
if (!(await within(grace, ended))) await signalContainer(daemon, record, SIGNALS['SIGKILL']!);`,
        diagnosis: 'await ended',
      },
    ],
  },
];

/** The gap 07.2 with one of its parts changed. */
function demultiplexWith({
  end,
  trouble,
  length,
}: {
  end?: string;
  trouble?: string;
  length?: string;
}): string {
  return `let rest: Buffer = Buffer.alloc(0);
let stream: number | undefined;
let left = 0;
let said = '';
for await (const chunk of chunks) {
  rest = Buffer.concat([rest, chunk]);
  for (;;) {
    if (stream === undefined) {
      if (rest.length < HEADER_BYTES) break;
      stream = rest[0]!;
      left = ${length ?? 'rest.readUInt32BE(4)'};
      rest = rest.subarray(HEADER_BYTES);
    }
    const data = rest.subarray(0, left);
    rest = rest.subarray(data.length);
    left -= data.length;
    ${trouble ?? `if (stream === 3) said += data.toString(); else`}
    if (data.length) yield { stream: stream === 2 ? 'stderr' : 'stdout', data };
    if (left > 0) break;
    if (said) throw new Error(said);
    stream = undefined;
  }
}
${end ?? `if (stream !== undefined || rest.length) throw new Error('the connection ended within a frame');`}`;
}

/** Rethrows what is not the learner's answer; gives the error back when it is. */
function answer(error: unknown): Error {
  if (!(error instanceof Error) || error.name === 'NotImplemented') throw error;
  return error;
}

/** What comes of a promise within so many milliseconds; else `undefined`. */
async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T | undefined> {
  const timer = new AbortController();
  try {
    const late = sleep(milliseconds, undefined, { signal: timer.signal }).catch(() => undefined);
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
  }
}

/** A frame as the Engine API describes it. */
function bytesOf(stream: number, data: Buffer): Buffer {
  const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(data.length, 4);
  return Buffer.concat([header, data]);
}

function checkFrame(t: Trial): void {
  const stream = t.number(1, 3) as StreamNumber;
  const framed = (data: Buffer): string => {
    try {
      return frame(stream, data).toString('hex');
    } catch (error) {
      return answer(error).message;
    }
  };
  const text = Buffer.from(t.word().repeat(t.number(1, 20)));
  const got = framed(text);
  const said = got.slice(8, 16);
  const length = text.length;
  const cause =
    said === Buffer.from(Uint32Array.of(length).buffer).toString('hex')
      ? 'The length is big endian, its highest byte first.'
      : parseInt(said, 16) === length + 8
        ? 'The length is that of the data alone.'
        : '[stream, 0, 0, 0, four bytes of length], then the data.';
  expectSame(`"${text.toString()}" of stream ${stream}`, bytesOf(stream, text).toString('hex'), got, cause);
  const bytes = Buffer.from([0xff, 0xc3, 0xa9, 0x80, t.number(0, 255)]);
  expectSame(
    'five bytes that are no text',
    bytesOf(stream, bytes).toString('hex'),
    framed(bytes),
    'Output is bytes, not text: it may be a picture. Copy and count bytes.',
  );
  const large = Buffer.alloc(65_536 + t.number(1, 9999), 'x');
  const header = framed(large).slice(0, 16);
  expectSame(
    `the header of ${large.length} bytes`,
    bytesOf(stream, large).toString('hex', 0, 8),
    header,
    'The length has four bytes: 4 to 7.',
  );
}

async function checkDemultiplex(t: Trial): Promise<void> {
  const texts = Array.from({ length: 5 }, () => t.word().repeat(t.number(1, 9)));
  const streams = texts.map((_, i) => (i === 0 ? 1 : i === 1 ? 2 : t.number(1, 2)));
  const frames = texts.map((text, i) => bytesOf(streams[i]!, Buffer.from(text)));
  const outputs = (upTo: number): { stdout: string; stderr: string } => ({
    stdout: texts.filter((_, i) => i < upTo && streams[i] === 1).join(''),
    stderr: texts.filter((_, i) => i < upTo && streams[i] === 2).join(''),
  });
  /** What comes out of these pieces, and the error at the end. */
  const read = async (pieces: readonly Buffer[]): Promise<Record<string, string>> => {
    const got: Record<string, string> = { stdout: '', stderr: '' };
    try {
      for await (const { stream, data } of demultiplex(inPieces(pieces))) got[stream] += data.toString();
    } catch (error) {
      got['error'] = answer(error).message;
    }
    return got;
  };
  const first = await read(frames.slice(0, 2));
  expectSame(
    'two frames, each in a piece of its own',
    outputs(2),
    first,
    'The header: [stream, 0, 0, 0, length as 32 bits, big endian].',
  );
  const all = Buffer.concat(frames);
  const cuts =
    'The transport cuts anywhere, in a header too, and puts frames together: remember where you are.';
  expectSame('five frames, byte by byte', outputs(5), await read(cut(all, 1)), cuts);
  expectSame('five frames, in one piece', outputs(5), await read([all]), cuts);
  const size = t.number(2, 30);
  expectSame(`five frames, in pieces of ${size} bytes`, outputs(5), await read(cut(all, size)), cuts);

  const word = Buffer.from(t.word());
  const announced = bytesOf(1, Buffer.alloc(word.length + t.number(1, 1e6))).subarray(0, 8);
  let release = (): void => undefined;
  const more = new Promise<void>((resolve) => (release = resolve));
  const slow = demultiplex(
    (async function* () {
      yield Buffer.concat([announced, word]);
      await more;
    })(),
  )[Symbol.asyncIterator]();
  const next = slow.next() as Promise<IteratorResult<OutputFrame>>;
  next.catch(() => undefined);
  const early = await within(1000, next);
  release();
  expectSame(
    'the beginning of a frame that has not come in whole',
    word.toString(),
    early?.value?.data.toString() ?? 'nothing',
    'Give data on as it comes in: a frame may be large, and its rest a minute away.',
  );
  await slow.return?.(undefined).catch(() => undefined);

  const torn = await read([all.subarray(0, all.length - t.number(1, 7))]);
  expectThat(
    'error' in torn,
    'an error when the connection ends within a frame',
    'no error',
    'Output that was cut off looks like all of it: throw when the end comes within a frame.',
  );
  const trouble = await read([frames[0]!, bytesOf(3, word)]);
  expectThat(
    trouble['error']?.includes(word.toString()) ?? false,
    `an error "${word.toString()}"`,
    trouble,
    'stream 3 is the daemon’s own voice, and no output of the container: throw what it says.',
  );
}

async function* inPieces(pieces: readonly Buffer[]): AsyncIterable<Buffer> {
  yield* pieces;
}

function cut(bytes: Buffer, size: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}

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

function checkDetach(t: Trial): void {
  const a = t.number(1, 15);
  const b = t.number(16, 31);
  const [one, two] = [t.word(), t.word()];
  const key = (...bytes: number[]): Buffer => Buffer.from(bytes);
  /** What is sent on of these pieces, one by one, and whether the last one detached. */
  const typed = (pieces: readonly (Buffer | string)[], keys: readonly number[] = [a, b]): object => {
    const filter = detachFilter(keys);
    const sent = pieces.map((piece) => filter(Buffer.from(piece)));
    return { sent: sent.map(({ send }) => send.toString('latin1')), detached: sent.at(-1)!.detached };
  };
  const text = (...bytes: number[]): string => key(...bytes).toString('latin1');
  const sequence = `the keys ${a}, ${b}`;
  expectSame(
    'what is typed without them',
    { sent: [one, two], detached: false },
    typed([one, two]),
    'Send it.',
  );
  const apart = typed([key(a), key(b)]) as { sent: string[]; detached: boolean };
  expectThat(
    apart.detached,
    `${sequence} to detach, one after the other`,
    apart,
    'Keys come one by one, each in a call of its own: remember how many have matched.',
  );
  expectSame(
    'what was sent of them',
    ['', ''],
    apart.sent,
    'The container got the first key, and acts on it. Hold it back until the next shows what was meant.',
  );
  expectSame(
    `${sequence} in one piece, after some words`,
    { sent: [one], detached: true },
    typed([Buffer.concat([Buffer.from(one), key(a, b), Buffer.from(two)])]),
    'What was typed before the sequence is still to be sent; what follows it is dropped.',
  );
  expectSame(
    `the key ${a}, then other words`,
    { sent: ['', text(a) + one], detached: false },
    typed([key(a), one]),
    'The key that was held back began nothing after all: send it, before the next.',
  );
  expectSame(
    `the keys ${a}, ${a}, ${b}`,
    { sent: ['', text(a), ''], detached: true },
    typed([key(a), key(a), key(b)]),
    'A key that does not go on with the sequence may itself begin it.',
  );
  expectSame(
    'no detach keys at all',
    { sent: [text(a, b)], detached: false },
    typed([key(a, b)], []),
    'An empty sequence is never typed.',
  );
}

async function checkStop(t: Trial): Promise<void> {
  const signal = ['SIGUSR1', 'SIGUSR2', 'SIGINT', 'SIGQUIT', 'SIGHUP'][t.number(0, 4)]!;
  const code = t.number(1, 120);
  const polite = await contained(t, `trap "exit ${code}" ${signal.slice(3)}`, { StopSignal: signal });
  expectThat(polite.end() === undefined, 'a container that runs', polite.end(), '');
  const returned = await within(5000, polite.stop(1));
  const end = polite.end() ?? 'it still runs';
  expectSame(
    `the end of a container whose stop signal is ${signal}, on which it exits with ${code}`,
    `status ${code}`,
    end,
    end === 'SIGKILL'
      ? 'It had no chance to put things in order: ask with its stop signal first, and wait.'
      : 'A container may have its own stop signal: `asked`.',
  );
  expectThat(
    returned !== undefined,
    'stop to return when the container has ended',
    'it still waits',
    'The end was told while the signal was being sent, and missed. Before the signal ask for nextEnd().',
  );

  const stubborn = await contained(t, 'trap "" TERM', {});
  await within(5000, stubborn.stop(0.2));
  const atReturn = stubborn.end() ?? 'it still runs';
  await sleep(400);
  expectSame(
    'a container that ignores SIGTERM, when stop has returned',
    'SIGKILL',
    atReturn,
    stubborn.end() === undefined
      ? 'A signal can be ignored, all but one: when the patience is over, SIGKILL.'
      : 'It ended a moment later: stop has to mean stopped. After SIGKILL, await ended.',
  );
}

/** A process in a container's place: signals go to it, and its end is told, as containerd does. */
async function contained(
  t: Trial,
  trap: string,
  config: { StopSignal?: string },
): Promise<{ stop(seconds: number): Promise<true>; end(): string | undefined }> {
  const script = `${trap}; echo ready; while :; do sleep 0.05; done`;
  const child: ChildProcess = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  t.cleanup(() => void child.kill('SIGKILL'));
  await new Promise((resolve) => child.stdout!.once('data', resolve));
  const record = {
    id: t.word(),
    name: t.word(),
    config: { Labels: {}, Image: '', ...config },
    hostConfig: { PidMode: '' },
    state: { status: 'running', pid: child.pid },
  } as unknown as ContainerRecord;
  const runs = openRuns();
  let end: string | undefined;
  const ended = new Promise<void>((resolve) =>
    child.once('exit', (status, killed) => {
      end = killed ?? `status ${status}`;
      record.state.status = 'exited';
      runs.of(record).ended({ exitCode: status ?? 137 } as unknown as Parameters<Run['ended']>[0]);
      resolve();
    }),
  );
  const daemon = {
    runs,
    containers: { save: async () => undefined },
    events: { publish: () => undefined },
    look: () => undefined,
    containerd: {
      tasks: {
        kill: async ({ signal }: { signal: number }) => {
          const name = signalName(signal) as NodeJS.Signals;
          // An answer says that the signal is on its way, not that it has arrived.
          if (signal === SIGNALS['SIGKILL']) return void setTimeout(() => child.kill(name), 150);
          child.kill(name);
          // A quick end is told before the call has returned.
          await within(200, ended);
        },
      },
    },
  } as unknown as Daemon;
  const stop = async (seconds: number): Promise<true> => {
    try {
      await stopContainer(daemon, record, { seconds });
    } catch (error) {
      const { message } = answer(error);
      const cause = 'Nothing has to fail here: the container runs.';
      throw new Wrong({ expected: 'the container to be stopped', observed: message, cause });
    }
    return true;
  };
  return { stop, end: () => end };
}
