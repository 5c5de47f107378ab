import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { expectSame, expectThat, signalName, type Exercise, type Trial } from '../01-processes/index.ts';
import { demultiplex } from './cli-demultiplex.ts';
import type { ContainerRecord } from './container.ts';
import type { Daemon } from './daemon.ts';
import { readUpgradeBody } from './hijack.ts';
import { stopContainer } from './stop-container.ts';
import { frame } from './stdcopy.ts';
import { detachFilter } from './terminal.ts';

export const exercises: readonly Exercise[] = [
  {
    gap: '07.1',
    task: 'Read the body of a request that asks for an upgrade, and leave what comes after it on the socket.',
    hints: [
      'The body may come in several pieces, and its last piece may have the first bytes of the raw stream behind it.',
      '`takeChunks` and `takeLength` give `{ body, rest }`, or undefined while something is missing; `nextData(socket)` waits for more.',
      'bytes = head; loop: found = chunked ? takeChunks(bytes) : takeLength(bytes, length); if found: socket.unshift(rest) if there is any, return body; else bytes = bytes and the next data.',
    ],
    check: checkUpgradeBody,
    wrong: [
      {
        mistake: 'takes for the body what is there already',
        code: `const length = Number(request.headers['content-length'] ?? 0);
if (head.length > length) socket.unshift(head.subarray(length));
return head.subarray(0, length);`,
        diagnosis: 'several pieces',
      },
      {
        mistake: 'loses what follows the body',
        code: `const length = Number(request.headers['content-length'] ?? 0);
let bytes = head;
for (;;) {
  const found = takeLength(bytes, length);
  if (found) return found.body;
  bytes = Buffer.concat([bytes, await nextData(socket)]);
}`,
        diagnosis: 'unshift',
      },
      {
        mistake: 'does not know chunks',
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
    ],
  },
  {
    gap: '07.2',
    task: "Put Docker's header before a piece of output.",
    hints: [
      'The header has 8 bytes: the stream, three zeros, the length of what follows.',
      'Buffer.writeUInt8 and Buffer.writeUInt32BE; the length is that of the payload alone.',
      'framed = Buffer.alloc(8 + data.length); the stream at 0, the length at 4 as 32 bits big endian, the data at 8.',
    ],
    check: checkFrame,
    wrong: [
      {
        mistake: 'writes the length little endian',
        code: `const framed = Buffer.alloc(HEADER_BYTES + data.length);
framed.writeUInt8(stream, 0);
framed.writeUInt32LE(data.length, 4);
framed.set(data, HEADER_BYTES);
return framed;`,
        diagnosis: 'big endian',
      },
      {
        mistake: 'counts the header too',
        code: `const framed = Buffer.alloc(HEADER_BYTES + data.length);
framed.writeUInt8(stream, 0);
framed.writeUInt32BE(framed.length, 4);
framed.set(data, HEADER_BYTES);
return framed;`,
        diagnosis: 'payload alone',
      },
      {
        mistake: 'always says stdout',
        code: `const framed = Buffer.alloc(HEADER_BYTES + data.length);
framed.writeUInt8(1, 0);
framed.writeUInt32BE(data.length, 4);
framed.set(data, HEADER_BYTES);
return framed;`,
        diagnosis: 'first byte',
      },
    ],
  },
  {
    gap: '07.3',
    task: 'End a container: ask, wait, and kill what is still there.',
    hints: [
      'Two signals with patience between them. The second is sent only to who has not ended by the first.',
      '`run.nextEnd()` is a promise of the end that comes next; `within(grace, ended)` tells whether it came in time; `signalContainer` sends.',
      'const ended = run.nextEnd(); await signalContainer(daemon, record, asked); if (!(await within(grace, ended))) { send SIGKILL; await ended; }',
    ],
    check: checkStop,
    wrong: [
      {
        mistake: 'kills at once',
        code: `const ended = run.nextEnd();
await signalContainer(daemon, record, SIGNALS['SIGKILL']!);
await ended;`,
        diagnosis: 'put things in order',
      },
      {
        mistake: 'asks, and never kills',
        code: `const ended = run.nextEnd();
await signalContainer(daemon, record, asked);
await within(grace, ended);`,
        diagnosis: 'does not listen',
      },
      {
        mistake: 'begins to wait after the signal',
        code: `await signalContainer(daemon, record, asked);
const ended = run.nextEnd();
if (!(await within(grace, ended))) {
  await signalContainer(daemon, record, SIGNALS['SIGKILL']!);
}`,
        diagnosis: 'before the signal',
      },
    ],
  },
  {
    gap: '07.4',
    task: "Take Docker's framing apart, however the transport cuts it.",
    hints: [
      'What you are in (a header, a payload) must be remembered from one piece to the next.',
      '`readUInt32BE(4)` is the length. Keep what is not yet a whole header; give on what there is of a payload, and count what is left of it.',
      'rest, stream, left: no stream → wait for 8 bytes in rest; else data = rest.subarray(0, left), yield it, left -= its length, and at 0 the next is a header. At the end: an error if a stream is open or rest is not empty.',
    ],
    check: checkDemultiplex,
    wrong: [
      {
        mistake: 'takes each piece for whole frames',
        code: `for await (const chunk of chunks)
  for (let at = 0; at < chunk.length; ) {
    const length = chunk.readUInt32BE(at + 4);
    yield { stream: chunk[at] === 2 ? 'stderr' : 'stdout', data: chunk.subarray(at + 8, at + 8 + length) };
    at += 8 + length;
  }`,
        diagnosis: 'cuts anywhere',
      },
      {
        mistake: 'takes the end in the middle of a frame for the end',
        code: `let rest = Buffer.alloc(0);
for await (const chunk of chunks) {
  rest = Buffer.concat([rest, chunk]);
  while (rest.length >= 8) {
    const length = rest.readUInt32BE(4);
    if (rest.length < 8 + length) break;
    yield { stream: rest[0] === 2 ? 'stderr' : 'stdout', data: rest.subarray(8, 8 + length) };
    rest = rest.subarray(8 + length);
  }
}`,
        diagnosis: 'half of the output',
      },
      {
        mistake: 'gives everything to stdout',
        code: `let rest = Buffer.alloc(0);
for await (const chunk of chunks) {
  rest = Buffer.concat([rest, chunk]);
  while (rest.length >= 8) {
    const length = rest.readUInt32BE(4);
    if (rest.length < 8 + length) break;
    yield { stream: 'stdout', data: rest.subarray(8, 8 + length) };
    rest = rest.subarray(8 + length);
  }
}
if (rest.length) throw new Error('ended in the middle of a frame');`,
        diagnosis: 'first byte of the header',
      },
      {
        mistake: 'waits for the whole payload',
        code: `let rest = Buffer.alloc(0);
for await (const chunk of chunks) {
  rest = Buffer.concat([rest, chunk]);
  while (rest.length >= 8) {
    const length = rest.readUInt32BE(4);
    if (rest.length < 8 + length) break;
    yield { stream: rest[0] === 2 ? 'stderr' : 'stdout', data: rest.subarray(8, 8 + length) };
    rest = rest.subarray(8 + length);
  }
}
if (rest.length) throw new Error('ended in the middle of a frame');`,
        diagnosis: 'as it comes',
      },
    ],
  },
  {
    gap: '07.5',
    task: 'Find the detach keys in what is typed, and send everything else on.',
    hints: [
      'A key that could be the first of the sequence is neither sent nor dropped: it is held back until the next one shows what it was.',
      'Keep the number of keys that match so far outside the function that is returned: the next key may come in the next call.',
      'For each byte: if it is keys[matched], count up, and detach at the full length; else send keys.slice(0, matched), set matched to 0, and look at the byte again as a first key.',
    ],
    check: checkDetachFilter,
    wrong: [
      {
        mistake: 'looks in one piece only',
        code: `return (typed) => {
  const at = typed.indexOf(Buffer.from(keys));
  return at < 0 ? { send: typed, detached: false } : { send: typed.subarray(0, at), detached: true };
};`,
        diagnosis: 'next call',
      },
      {
        mistake: 'swallows a first key that is followed by another',
        code: `let matched = 0;
return (typed) => {
  const send = [];
  for (const byte of typed) {
    if (byte === keys[matched]) {
      matched += 1;
      if (matched === keys.length) return { send: Buffer.from(send), detached: true };
    } else {
      matched = 0;
      send.push(byte);
    }
  }
  return { send: Buffer.from(send), detached: false };
};`,
        diagnosis: 'held back',
      },
      {
        mistake: 'forgets that the key after a first one may be a first one too',
        code: `let matched = 0;
return (typed) => {
  const send = [];
  for (const byte of typed) {
    if (byte === keys[matched]) {
      matched += 1;
      if (matched === keys.length) return { send: Buffer.from(send), detached: true };
    } else {
      send.push(...keys.slice(0, matched), byte);
      matched = 0;
    }
  }
  return { send: Buffer.from(send), detached: false };
};`,
        diagnosis: 'a first key twice',
      },
    ],
  },
];

async function checkUpgradeBody(trial: Trial): Promise<void> {
  const body = trial.word().repeat(trial.number(2, 20));
  const after = trial.word();
  const half = Math.floor(body.length / 2);
  const length = `Content-Length: ${body.length}`;
  expectSame(
    'a body in two pieces',
    { body, after },
    await upgrade(trial, length, [body.slice(0, half), body.slice(half) + after]),
    'the body may come in several pieces (wait with nextData), and what follows it is the stream: socket.unshift gives it back',
  );
  const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;
  expectSame(
    'a chunked body',
    { body, after },
    await upgrade(trial, 'Transfer-Encoding: chunked', [
      chunk(body.slice(0, half)) + chunk(body.slice(half)).slice(0, 5),
      `${chunk(body.slice(half)).slice(5)}0\r\n\r\n${after}`,
    ]),
    'look at transfer-encoding: a chunked body has no length, and its framing is still in it',
  );
}

/** Sends a request with a body in pieces to a server that reads it with the gap's code. What was read of both: the body, and what came after. */
async function upgrade(
  trial: Trial,
  header: string,
  pieces: readonly string[],
): Promise<{ body: string; after: string }> {
  const socketPath = join(trial.folder(), `${trial.word()}.sock`);
  const server = createServer();
  const sockets: Socket[] = [];
  trial.cleanup(() => {
    sockets.forEach((socket) => socket.destroy());
    server.close();
  });
  const read = new Promise<{ body: string; after: string }>((resolve, reject) => {
    server.on('upgrade', (asked, stream, head) => {
      const socket = stream as Socket;
      sockets.push(socket);
      socket.on('error', () => {});
      readUpgradeBody(asked, socket, head).then((body) => {
        const after: Buffer[] = [];
        const done = (): void => resolve({ body: body.toString(), after: Buffer.concat(after).toString() });
        socket.on('data', (data: Buffer) => after.push(data)).on('end', done);
        socket.resume();
      }, reject);
    });
  });
  // Looked at below; until then it is nobody's unhandled rejection.
  read.catch(() => {});
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const client = connect(socketPath);
  sockets.push(client);
  client.on('error', () => {});
  client.write(`POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n${header}\r\n\r\n`);
  for (const piece of pieces) {
    await new Promise((resolve) => setTimeout(resolve, 30));
    client.write(piece);
  }
  client.end();
  const late = new Promise<{ body: string; after: string }>((resolve) =>
    setTimeout(() => resolve({ body: 'nothing within two seconds', after: '' }), 2000).unref(),
  );
  return await Promise.race([read, late]).catch((error: Error) => {
    if (error.name === 'NotImplemented') throw error;
    return { body: error.message, after: '' };
  });
}

function checkFrame(trial: Trial): void {
  for (const stream of [1, 2] as const) {
    const data = Buffer.from(trial.word().repeat(trial.number(60, 300)));
    const framed = frame(stream, data);
    expectSame('the first byte', stream, framed[0], 'the first byte of the header says which stream it is');
    const length = framed.length >= 8 ? framed.readUInt32BE(4) : -1;
    expectSame(
      'the length',
      data.length,
      length,
      'the length is that of the payload alone, 32 bits big endian at byte 4',
    );
    expectThat(
      framed.subarray(8).equals(data),
      'the payload after 8 bytes',
      framed.subarray(8).toString(),
      'the header has 8 bytes',
    );
  }
}

async function checkStop(): Promise<void> {
  // Processes of this machine take the container's place: what is judged is which signals they get, and in which order.
  const willing = await stopped('trap "exit 7" TERM; echo ready; while :; do sleep 0.02; done');
  expectSame(
    'the end of a program that puts things in order at SIGTERM',
    'exit 7',
    willing.end,
    'SIGTERM first: the program may put things in order',
  );
  expectSame(
    'signals to one that ends at once',
    ['SIGTERM'],
    willing.signals,
    'begin to wait before the signal is sent: an end that follows at once is missed otherwise',
  );
  const deaf = await stopped('trap "" TERM; echo ready; while :; do sleep 0.02; done');
  expectSame(
    'signals to a program that ignores SIGTERM',
    ['SIGTERM', 'SIGKILL'],
    deaf.signals,
    'a program that does not listen must be killed when the time is over',
  );
}

/** Stops a shell that runs `script` as if it were a container. */
async function stopped(script: string): Promise<{ end: string; signals: string[] }> {
  const child = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  const signals: string[] = [];
  const end = new Promise<string>((resolve) =>
    child.on('exit', (code, signal) => resolve(signal ?? `exit ${code}`)),
  );
  await new Promise((resolve) => child.stdout.once('data', resolve));
  let over = false;
  const run = {
    cancelRestart: undefined,
    // Like the daemon's: an end that has been is none that comes.
    nextEnd: () => (over ? new Promise(() => {}) : end),
  };
  const daemon = {
    runs: { of: () => run },
    containers: { save: async () => {} },
    events: { publish: () => {}, emit: () => {} },
    containerd: {
      tasks: {
        kill: async ({ signal }: { signal: number }) => {
          const name = signalName(signal);
          signals.push(name);
          child.kill(signal);
          // Slow as a real one may be: who has been asked nicely may be gone when the answer is here.
          await Promise.race([end, new Promise((resolve) => setTimeout(resolve, 200))]);
          over = child.exitCode !== null || child.signalCode !== null;
        },
      },
    },
  } as unknown as Daemon;
  const record = {
    id: 'x',
    name: 'x',
    config: { StopSignal: 'SIGTERM', Labels: {}, Image: 'x' },
    hostConfig: { PidMode: '' },
    state: { status: 'running', pid: child.pid },
  } as unknown as ContainerRecord;
  try {
    await Promise.race([
      stopContainer(daemon, record, { seconds: 0.5 }),
      new Promise((resolve) => setTimeout(resolve, 3000).unref()),
    ]);
  } finally {
    child.kill('SIGKILL');
  }
  return { end: await end, signals };
}

async function checkDemultiplex(trial: Trial): Promise<void> {
  const header = (stream: number, length: number): Buffer =>
    Buffer.from([stream, 0, 0, 0, length >>> 24, length >>> 16, length >>> 8, length]);
  const framed = (stream: number, text: string): Buffer =>
    Buffer.concat([header(stream, text.length), Buffer.from(text)]);
  const [out, err] = [trial.word().repeat(40), trial.word().repeat(30)];
  const whole = Buffer.concat([framed(1, out), framed(2, err), framed(1, out)]);
  const wanted = { stdout: out + out, stderr: err };

  expectSame(
    'three frames in one piece',
    wanted,
    await sorted([whole]),
    'the first byte of the header says which stream it is: 1 stdout, 2 stderr',
  );
  const size = trial.number(1, 7);
  const pieces: Buffer[] = [];
  for (let at = 0; at < whole.length; at += size) pieces.push(whole.subarray(at, at + size));
  expectSame(
    `the same in pieces of ${size}`,
    wanted,
    await sorted(pieces),
    'the transport cuts anywhere, in a header too: keep what is not whole',
  );
  expectSame(
    'an end in the middle of a frame',
    'an error',
    (await sorted([whole.subarray(0, whole.length - 3)])).error === undefined ? 'no error' : 'an error',
    'half of the output would look like all of it: throw when the stream ends inside a frame',
  );
  const early: string[] = [];
  await sorted([whole.subarray(0, 8 + 10), whole.subarray(8 + 10)], early);
  expectSame(
    'what was given on after the first half',
    out.slice(0, 10),
    early[0],
    'give a payload on as it comes: a frame may be large, and its end late',
  );
}

/** What the gap's code makes of some pieces. `early` gets what had been given on by the time that the second piece was asked for. */
async function sorted(
  pieces: readonly Buffer[],
  early?: string[],
): Promise<{ stdout: string; stderr: string; error?: string }> {
  const seen = { stdout: '', stderr: '' };
  const chunks = (async function* () {
    for (const [i, piece] of pieces.entries()) {
      if (i === 1) early?.push(seen.stdout);
      yield piece;
    }
  })();
  try {
    for await (const { stream, data } of demultiplex(chunks)) seen[stream] += data.toString();
    return seen;
  } catch (error) {
    if ((error as Error).name === 'NotImplemented') throw error;
    return { ...seen, error: (error as Error).message };
  }
}

function checkDetachFilter(trial: Trial): void {
  const [first, second] = [trial.number(1, 10), trial.number(11, 26)];
  const word = trial.word();
  const run = (...pieces: (string | number[])[]): [string, boolean] => {
    const filter = detachFilter([first, second]);
    let sent = '';
    for (const piece of pieces) {
      const { send, detached } = filter(Buffer.from(piece as string));
      sent += send.toString('latin1');
      if (detached) return [sent, true];
    }
    return [sent, false];
  };
  const key = String.fromCharCode(first);
  expectSame(
    'typed in one piece',
    [word, true],
    run([...Buffer.from(word), first, second]),
    'what comes before the keys is sent, the keys are not',
  );
  expectSame(
    'typed in two pieces',
    [word, true],
    run([...Buffer.from(word), first], [second]),
    'the second key comes in the next call: remember how many match',
  );
  expectSame(
    'the first key, then another',
    [`${key}${word}`, false],
    run([first], word),
    'the first key was held back, and must be sent once it is clear that it was meant',
  );
  expectSame(
    'the first key twice, then the second',
    [key, true],
    run([first, first, second]),
    'a first key twice: the second of them may begin the sequence',
  );
}
