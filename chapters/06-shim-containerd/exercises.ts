import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import {
  expectSame,
  expectThat,
  fork,
  isErrno,
  kill,
  NotImplemented,
  readStat,
  SIGNALS,
  Wrong,
  type Exercise,
  type Trial,
} from '../01-processes/index.ts';
import { decodeEvent } from './api.ts';
import { createEventBus } from './event-bus.ts';
import { encode } from './protobuf.ts';
import { startReaper } from './reaper.ts';
import { openStdio, type Stdio } from './stdio.ts';
import { createSupervisor } from './supervisor.ts';
import { shimProtos, TASK_STATUS, taskServiceType } from './task-api.ts';
import { createBundle } from './task-bundle.ts';
import { frameDecoder, MAX_PAYLOAD, type Frame } from './ttrpc-frame.ts';
import { CODE, serveTtrpc, TtrpcError } from './ttrpc.ts';

export const exercises: readonly Exercise[] = [
  {
    gap: '06.1',
    task: 'Take the exit status of every child that has ended and is not Node’s, and tell whoever waits for it.',
    hints: [
      'A process that has ended stays as a zombie until its parent waits. A subreaper is parent to orphans it has never heard of. And SIGCHLD is no message: several ends can be one signal.',
      'children() lists the ids, waitIfEnded(pid) gives a status or undefined, `nodes` are those that Node itself waits for. exitCode makes one number of a status.',
      'for each of children(): skip nodes; status = waitIfEnded(pid), skip undefined; exit = { status: exitCode(status), at: new Date() }; tell = waiting.get(pid), delete it; tell(exit), or early.set(pid, exit) while beingMade > 0.',
    ],
    check: checkReaper,
    wrong: [
      {
        mistake: 'waits for Node’s children too',
        code: `for (const pid of children()) {
  const status = waitIfEnded(pid);
  if (!status) continue;
  const exit = { status: exitCode(status), at: new Date() };
  const tell = waiting.get(pid);
  waiting.delete(pid);
  if (tell) tell(exit);
  else if (beingMade > 0) early.set(pid, exit);
}`,
        diagnosis: 'Node waits for',
      },
      {
        mistake: 'looks only at those that someone waits for',
        code: `for (const [pid, tell] of waiting) {
  if (nodes.has(pid)) continue;
  const status = waitIfEnded(pid);
  if (!status) continue;
  waiting.delete(pid);
  tell({ status: exitCode(status), at: new Date() });
}`,
        diagnosis: 'zombie',
      },
      {
        mistake: 'takes one child for each signal',
        code: `for (const pid of children()) {
  if (nodes.has(pid)) continue;
  const status = waitIfEnded(pid);
  if (!status) continue;
  const exit = { status: exitCode(status), at: new Date() };
  const tell = waiting.get(pid);
  waiting.delete(pid);
  if (tell) tell(exit);
  else if (beingMade > 0) early.set(pid, exit);
  return;
}`,
        diagnosis: 'one signal',
      },
      {
        mistake: 'forgets ends that come early',
        code: `for (const pid of children()) {
  if (nodes.has(pid)) continue;
  const status = waitIfEnded(pid);
  if (!status) continue;
  waiting.get(pid)?.({ status: exitCode(status), at: new Date() });
  waiting.delete(pid);
}`,
        diagnosis: 'before its id was known',
      },
      {
        mistake: 'drops the signal',
        code: `for (const pid of children()) {
  if (nodes.has(pid)) continue;
  const status = waitIfEnded(pid);
  if (!status) continue;
  const exit = { status: status.kind === 'exited' ? status.code : 0, at: new Date() };
  const tell = waiting.get(pid);
  waiting.delete(pid);
  if (tell) tell(exit);
  else if (beingMade > 0) early.set(pid, exit);
}`,
        diagnosis: '128',
      },
    ],
  },
  {
    gap: '06.2',
    task: 'Leave the shim’s daemon behind, with a socket that already listens.',
    hints: [
      'containerd connects as soon as `start` has printed the address. Connections wait in a listening socket’s queue: someone must only have made it in time. And descriptors outlive the process that opened them.',
      'child_process.spawn: `stdio` has an entry for each descriptor, 3 too; `detached` is setsid(2). `listen(path)` gives a listening descriptor, `environment()` what the daemon may know, writeWhole writes `address`.',
      'listener = await listen(path); writeWhole("address", url); spawn(process.execPath, [...NODE_FLAGS, process.argv[1]!, "-namespace", …, "-socket", path], { detached: true, stdio: ["ignore", "ignore", "ignore", listener], env: environment() }).unref(); return url.',
    ],
    check: checkHandOver,
    wrong: [
      {
        mistake: 'lets the daemon inherit the output',
        code: `const listener = await listen(path);
writeWhole('address', url);
const flags = ['-namespace', namespace, '-id', id, '-address', address, '-publish-binary', publishBinary, '-socket', path];
if (debug) flags.push('-debug');
const daemon = spawn(process.execPath, [...NODE_FLAGS, process.argv[1]!, ...flags], {
  detached: true,
  stdio: ['ignore', 'inherit', 'inherit', listener],
  env: environment(),
});
daemon.unref();
return url;`,
        diagnosis: 'every holder has closed it',
      },
      {
        mistake: 'leaves the daemon in the caller’s session',
        code: `const listener = await listen(path);
writeWhole('address', url);
const flags = ['-namespace', namespace, '-id', id, '-address', address, '-publish-binary', publishBinary, '-socket', path];
if (debug) flags.push('-debug');
const daemon = spawn(process.execPath, [...NODE_FLAGS, process.argv[1]!, ...flags], {
  stdio: ['ignore', 'ignore', 'ignore', listener],
  env: environment(),
});
daemon.unref();
return url;`,
        diagnosis: 'setsid',
      },
      {
        mistake: 'does not hand the socket over',
        code: `await listen(path);
writeWhole('address', url);
const flags = ['-namespace', namespace, '-id', id, '-address', address, '-publish-binary', publishBinary, '-socket', path];
if (debug) flags.push('-debug');
const daemon = spawn(process.execPath, [...NODE_FLAGS, process.argv[1]!, ...flags], {
  detached: true,
  stdio: 'ignore',
  env: environment(),
});
daemon.unref();
return url;`,
        diagnosis: 'descriptor 3',
      },
      {
        mistake: 'gives the daemon the whole environment',
        code: `const listener = await listen(path);
writeWhole('address', url);
const flags = ['-namespace', namespace, '-id', id, '-address', address, '-publish-binary', publishBinary, '-socket', path];
if (debug) flags.push('-debug');
const daemon = spawn(process.execPath, [...NODE_FLAGS, process.argv[1]!, ...flags], {
  detached: true,
  stdio: ['ignore', 'ignore', 'ignore', listener],
  env: process.env,
});
daemon.unref();
return url;`,
        diagnosis: 'environment()',
      },
      {
        mistake: 'does not note the address',
        code: `const listener = await listen(path);
const flags = ['-namespace', namespace, '-id', id, '-address', address, '-publish-binary', publishBinary, '-socket', path];
if (debug) flags.push('-debug');
const daemon = spawn(process.execPath, [...NODE_FLAGS, process.argv[1]!, ...flags], {
  detached: true,
  stdio: ['ignore', 'ignore', 'ignore', listener],
  env: environment(),
});
daemon.unref();
return url;`,
        diagnosis: 'after a restart',
      },
    ],
  },
  {
    gap: '06.3',
    task: 'Open where a process’s output goes: nowhere, a file, a fifo, or the container’s journal.',
    hints: [
      'Who holds which end? A fifo without a reader makes its writer wait, or kills it; a pipe without a writer ends. And what a runtime prints that fails is not the container’s output.',
      'fifo(7), "Description": opening for reading with O_NONBLOCK succeeds at once. `held` closes at the end what we keep, `child(fd)` closes our copy when the container has it, `begin` is called then.',
      'file: child(openSync(path, "a")); fifo: held.add(openSync(path, O_RDONLY | O_NONBLOCK)), child(openSync(path, O_WRONLY)); journal: pipe(); held.add(read); begin.push(() => { held.release(read); return readFrom(read, "pipe", write to the journal, end it) }); child(write).',
    ],
    check: checkOutput,
    wrong: [
      {
        mistake: 'opens the fifo’s writing end alone',
        code: outputOf(`if (place.kind === 'fifo') return child(openSync(place.path, constants.O_WRONLY));`),
        diagnosis: 'waits for a reader',
      },
      {
        mistake: 'does not keep the fifo’s reading end',
        code: outputOf(`if (place.kind === 'fifo') {
  const reader = openSync(place.path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(place.path, constants.O_WRONLY);
  closeSync(reader);
  return child(writer);
}`),
        diagnosis: 'SIGPIPE',
      },
      {
        mistake: 'empties the file first',
        code: outputOf(undefined, {
          file: `if (place.kind === 'file') return child(openSync(place.path, 'w', 0o640));`,
        }),
        diagnosis: 'appended to',
      },
      {
        mistake: 'reads before the container has begun',
        code: outputOf(undefined, {
          begin: `const source = readFrom(read, 'pipe', (data) => journal.write(stream, data), () => journal.end(stream));
begin.push(() => source);`,
        }),
        diagnosis: 'no output of the container',
      },
      {
        mistake: 'puts both outputs in one stream',
        code: outputOf(undefined, {
          begin: `held.add(read);
begin.push(() => {
  held.release(read);
  return readFrom(read, 'pipe', (data) => journal.write(1, data), () => journal.end(1));
});`,
        }),
        diagnosis: 'standard error is 2',
      },
      {
        mistake: 'does not say that a stream has ended',
        code: outputOf(undefined, {
          begin: `held.add(read);
begin.push(() => {
  held.release(read);
  return readFrom(read, 'pipe', (data) => journal.write(stream, data), () => undefined);
});`,
        }),
        diagnosis: 'journal.end',
      },
    ],
  },
  {
    gap: '06.4',
    task: 'Cut the bytes that come from a socket into ttrpc’s frames.',
    hints: [
      'A stream socket keeps the order of bytes, not the pieces in which they were written. What is left over from one piece begins the next.',
      'The header has ten bytes: length u32, stream u32 (both big endian), type u8, flags u8; the length is that of the payload alone. encodeFrame above writes it.',
      'rest = rest + chunk; while rest has a whole header: read the length, RangeError above MAX_PAYLOAD, break unless HEADER_BYTES + length are there, push the frame, rest = what follows it.',
    ],
    check: checkFrames,
    wrong: [
      {
        mistake: 'takes every piece for one frame',
        code: `return (chunk) => {
  const bytes = Buffer.from(chunk);
  const length = bytes.readUInt32BE(0);
  if (length > MAX_PAYLOAD) throw new RangeError('too long');
  return [{ stream: bytes.readUInt32BE(4), type: bytes[8]!, flags: bytes[9]!, payload: bytes.subarray(HEADER_BYTES, HEADER_BYTES + length) }];
};`,
        diagnosis: 'half a header',
      },
      {
        mistake: 'gives one frame for each piece',
        code: `let rest: Buffer = Buffer.alloc(0);
return (chunk) => {
  rest = Buffer.concat([rest, chunk]);
  if (rest.length < HEADER_BYTES) return [];
  const length = rest.readUInt32BE(0);
  if (length > MAX_PAYLOAD) throw new RangeError('too long');
  if (rest.length < HEADER_BYTES + length) return [];
  const payload = rest.subarray(HEADER_BYTES, HEADER_BYTES + length);
  const frame = { stream: rest.readUInt32BE(4), type: rest[8]!, flags: rest[9]!, payload };
  rest = rest.subarray(HEADER_BYTES + length);
  return [frame];
};`,
        diagnosis: 'several frames',
      },
      {
        mistake: 'reads the length as little endian',
        code: `let rest: Buffer = Buffer.alloc(0);
return (chunk) => {
  rest = Buffer.concat([rest, chunk]);
  const frames: Frame[] = [];
  while (rest.length >= HEADER_BYTES) {
    const length = rest.readUInt32LE(0);
    if (length > MAX_PAYLOAD) throw new RangeError('too long');
    if (rest.length < HEADER_BYTES + length) break;
    frames.push({ stream: rest.readUInt32LE(4), type: rest[8]!, flags: rest[9]!, payload: rest.subarray(HEADER_BYTES, HEADER_BYTES + length) });
    rest = rest.subarray(HEADER_BYTES + length);
  }
  return frames;
};`,
        diagnosis: 'big endian',
      },
      {
        mistake: 'counts the header as part of the length',
        code: `let rest: Buffer = Buffer.alloc(0);
return (chunk) => {
  rest = Buffer.concat([rest, chunk]);
  const frames: Frame[] = [];
  while (rest.length >= HEADER_BYTES) {
    const length = Math.max(HEADER_BYTES, rest.readUInt32BE(0));
    if (length > MAX_PAYLOAD) throw new RangeError('too long');
    if (rest.length < length) break;
    frames.push({ stream: rest.readUInt32BE(4), type: rest[8]!, flags: rest[9]!, payload: rest.subarray(HEADER_BYTES, length) });
    rest = rest.subarray(length);
  }
  return frames;
};`,
        diagnosis: 'payload alone',
      },
      {
        mistake: 'believes any length',
        code: `let rest: Buffer = Buffer.alloc(0);
return (chunk) => {
  rest = Buffer.concat([rest, chunk]);
  const frames: Frame[] = [];
  while (rest.length >= HEADER_BYTES) {
    const length = rest.readUInt32BE(0);
    if (rest.length < HEADER_BYTES + length) break;
    frames.push({ stream: rest.readUInt32BE(4), type: rest[8]!, flags: rest[9]!, payload: rest.subarray(HEADER_BYTES, HEADER_BYTES + length) });
    rest = rest.subarray(HEADER_BYTES + length);
  }
  return frames;
};`,
        diagnosis: '4 MiB',
      },
    ],
  },
  {
    gap: '06.5',
    task: 'Find a shim of an earlier server again, or clean up after it; and tell what ended while there was no server.',
    hints: [
      'A bundle on the disk says that there was a container. Only its shim knows what became of it, if there still is one. Four cases: it runs, it has ended, there is none, the shim is gone.',
      'findShimAddress and connectTask find the shim; taskState asks for the container; its error NotFound says that there is none. adopt keeps a task, cleanUpAfter is for a dead shim. An exit is told by events.tell, and noted in task.exits so that it is not told twice.',
      'no task: cleanUpAfter(bundle). NotFound: shutDown(task), cleanUpByShim, removeBundleQuietly. Else adopt(task); if state.status is TASK_STATUS.STOPPED: task.exits.set(id, { pid, exitStatus, exitedAt }) and events.tell(namespace, "/tasks/exit", "TaskExit", { containerId: id, id, … }).',
    ],
    check: checkRecover,
    wrong: [
      {
        mistake: 'keeps every shim that answers, and asks nothing',
        code: `const address = await findShimAddress(bundle);
const task = address && (await connectTask(bundle, address).catch(() => undefined));
if (!task) return cleanUpAfter(bundle);
void task.disconnected.then(followShimLog(bundle, log));
adopt(task);`,
        diagnosis: 'while nobody listened',
      },
      {
        mistake: 'takes a dead shim’s bundle away, and says nothing',
        code: `const address = await findShimAddress(bundle);
const task = address && (await connectTask(bundle, address).catch(() => undefined));
if (!task) return removeBundleQuietly(bundle);
adopt(task);`,
        diagnosis: 'cleanUpAfter',
      },
      {
        mistake: 'lets one dead shim end the whole start',
        code: `const address = await findShimAddress(bundle);
if (!address) return cleanUpAfter(bundle);
adopt(await connectTask(bundle, address));`,
        diagnosis: 'a socket on which nobody listens',
      },
      {
        mistake: 'tells that all of them have ended',
        code: recoverOf({ stopped: '' }),
        diagnosis: 'still runs',
      },
      {
        mistake: 'keeps shims that have no container',
        code: recoverOf({ none: `if (isGrpcError(state, 'NotFound')) return adopt(task);` }),
        diagnosis: 'never got its container',
      },
      {
        mistake: 'does not note what it has told',
        code: recoverOf({ note: '' }),
        diagnosis: 'told twice',
      },
    ],
  },
];

/** The gap 06.3 with one of its parts changed. */
function outputOf(fifo?: string, { file, begin }: { file?: string; begin?: string } = {}): string {
  return `if (place.kind === 'none') return 'ignore';
${file ?? `if (place.kind === 'file') return child(openSync(place.path, 'a', 0o640));`}
${
  fifo ??
  `if (place.kind === 'fifo') {
  held.add(openSync(place.path, constants.O_RDONLY | constants.O_NONBLOCK));
  return child(openSync(place.path, constants.O_WRONLY));
}`
}
if (place.kind !== 'journal') return 'ignore';
const { read, write } = pipe();
const journal = journals.get(place.path)!;
${
  begin ??
  `held.add(read);
begin.push(() => {
  held.release(read);
  return readFrom(read, 'pipe', (data) => journal.write(stream, data), () => journal.end(stream));
});`
}
return child(write);`;
}

/** The gap 06.5 with one of its parts changed. */
function recoverOf({ none, stopped, note }: { none?: string; stopped?: string; note?: string }): string {
  return `const { namespace, id } = bundle;
const address = await findShimAddress(bundle);
const task = address && (await connectTask(bundle, address).catch(() => undefined));
if (!task) return cleanUpAfter(bundle);
void task.disconnected.then(followShimLog(bundle, log));
const state = await taskState(task).catch((error: Error) => error);
${
  none ??
  `if (isGrpcError(state, 'NotFound')) {
  await shutDown(task);
  await cleanUpByShim(bundle, caller).catch(() => undefined);
  return removeBundleQuietly(bundle);
}`
}
adopt(task);
if (state instanceof Error) return;
${stopped ?? `if (state.status !== TASK_STATUS.STOPPED) return;`}
const { pid, exitStatus, exitedAt } = state;
${note ?? `task.exits.set(id, { pid, exitStatus, exitedAt });`}
events.tell(namespace, '/tasks/exit', 'TaskExit', { containerId: id, id, pid, exitStatus, exitedAt: exitedAt ?? GO_ZERO_TIME });`;
}

/** Rethrows what is not the learner's answer; gives the error back when it is. */
function answer(error: unknown): Error {
  if (!(error instanceof Error) || error.name === 'NotImplemented' || error instanceof Wrong) throw error;
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

/** Waits until `holds`, at most so many milliseconds. Whether it came to hold. */
async function eventually(holds: () => boolean, milliseconds = 2000): Promise<boolean> {
  for (const end = Date.now() + milliseconds; Date.now() < end; await sleep(10)) if (holds()) return true;
  return holds();
}

function checkFrames(t: Trial): void {
  const frames = Array.from({ length: 4 }, (_, i) => ({
    stream: t.number(0, 2 ** 31) * 2 + 1,
    type: t.number(1, 2),
    flags: t.number(0, 255),
    payload: i === 1 ? '' : t.word().repeat(t.number(2, 60)),
  }));
  const bytesOf = ({ stream, type, flags, payload }: (typeof frames)[number]): Buffer => {
    const header = Buffer.alloc(10);
    header.writeUInt32BE(payload.length, 0);
    header.writeUInt32BE(stream, 4);
    header.set([type, flags], 8);
    return Buffer.concat([header, Buffer.from(payload)]);
  };
  /** What comes out when these bytes come in pieces of so many. */
  const decoded = (bytes: Buffer, size: number): unknown => {
    const decode = frameDecoder();
    const got: Frame[] = [];
    try {
      for (let at = 0; at < bytes.length; at += size) got.push(...decode(bytes.subarray(at, at + size)));
    } catch (error) {
      return answer(error).message;
    }
    return got.map((frame) => ({ ...frame, payload: Buffer.from(frame.payload).toString() }));
  };
  const one = bytesOf(frames[0]!);
  const first = decoded(one, one.length);
  // Of zeros, whose parts are headers too: so that a wrong length shows as such.
  const probe = decoded(bytesOf({ ...frames[0]!, payload: '\0'.repeat(50) }), 60) as typeof frames | string;
  const cause =
    typeof probe === 'string'
      ? 'Numbers on the wire are big endian.'
      : probe[0]?.payload.length === 40
        ? 'The length in the header is that of the payload alone; the frame has ten bytes more.'
        : 'The header: length u32, stream u32, both big endian; type u8; flags u8.';
  expectSame('one frame, in one piece', frames.slice(0, 1), first, cause);
  const all = Buffer.concat(frames.map(bytesOf));
  expectSame(
    'the same, byte by byte',
    frames,
    decoded(all, 1),
    'A socket hands over what has arrived, which may be half a header: keep it until the rest is there.',
  );
  expectSame(
    'four frames, in one piece',
    frames,
    decoded(all, all.length),
    'A piece may hold several frames: go on while there is a whole one.',
  );
  const size = t.number(2, 40);
  expectSame(`four frames, in pieces of ${size} bytes`, frames, decoded(all, size), 'Pieces end anywhere.');
  const huge = Buffer.alloc(10);
  huge.writeUInt32BE(MAX_PAYLOAD + t.number(1, 1000));
  let refused = '';
  try {
    frameDecoder()(huge);
  } catch (error) {
    refused = answer(error).name;
  }
  expectSame(
    'a header that announces more than allowed',
    'RangeError',
    refused || 'no error',
    'Whoever is on the other side could make you keep as much as he likes: refuse more than 4 MiB when you see the header.',
  );
}

async function checkHandOver(t: Trial): Promise<void> {
  const folder = t.folder();
  const [namespace, id, word, secret] = [t.word(), t.word(), t.word(), t.word()];
  const bundle = join(folder, 'io.containerd.runtime.v2.task', namespace, id);
  mkdirSync(bundle, { recursive: true });
  // In the daemon's place: says what it was given, and answers on descriptor 3.
  const daemon = join(folder, 'daemon.cjs');
  const facts = join(folder, 'facts.json');
  writeFileSync(
    daemon,
    `const { writeFileSync, renameSync } = require('node:fs');
setTimeout(() => process.exit(), 20000);
writeFileSync('${facts}.tmp', JSON.stringify({ pid: process.pid, argv: process.argv.slice(2), env: process.env }));
renameSync('${facts}.tmp', '${facts}');
require('node:net').createServer((socket) => socket.end('${word}')).listen({ fd: 3 });`,
  );
  const request = {
    namespace,
    id,
    address: join(folder, 'c.sock'),
    publishBinary: '/bin/true',
    debug: false,
  };
  const program = join(folder, 'start.mjs');
  writeFileSync(
    program,
    `import { writeSync } from 'node:fs';
const { startShim } = await import('${pathToFileURL(join(import.meta.dirname, 'shim-start.ts')).href}');
process.argv[1] = '${daemon}';
let said;
try {
  said = { url: await startShim(${JSON.stringify(request)}) };
} catch ({ name, message, gap }) {
  said = { error: { name, message, gap } };
}
writeSync(1, JSON.stringify(said));
process.exit(0);`,
  );
  t.cleanup(() => {
    if (existsSync(facts)) kill(readFacts(facts).pid, SIGNALS['SIGKILL']!);
  });
  const start = spawn(process.execPath, [...process.execArgv, program], {
    cwd: bundle,
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, [`SECRET_${secret}`]: secret },
  });
  t.cleanup(() => void start.kill('SIGKILL'));
  let printed = '';
  start.stdout.on('data', (data: Buffer) => void (printed += data.toString()));
  const closed = new Promise<true>((resolve) => start.once('close', () => resolve(true)));
  const status = await within(20_000, new Promise((resolve) => start.once('exit', resolve)));
  expectSame('the status of `start`', 0, status, 'It has to end at once; the daemon is to stay.');
  const { url = '', error } = JSON.parse(printed || '{}') as {
    url?: string;
    error?: { name: string; message: string; gap: string };
  };
  if (error?.name === 'NotImplemented') throw new NotImplemented(error.gap);
  if (error)
    throw new Wrong({ expected: 'a shim to be started', observed: error.message, cause: 'See spawn.' });
  const path = url.replace(/^unix:\/\//, '');
  expectThat(
    url.startsWith('unix:///') && existsSync(path),
    'the address of a socket that is there',
    url,
    'Return url; the socket is made by listen(path).',
  );
  expectSame(
    'what `start`’s first connection was answered',
    word,
    await firstAnswer(path),
    'When `start` is over nobody holds the listening socket any more: the daemon must get it as descriptor 3.',
  );
  const noted = existsSync(join(bundle, 'address'))
    ? readFileSync(join(bundle, 'address'), 'utf8')
    : 'nothing';
  expectSame('the file `address`', url, noted, 'It is how containerd finds the shim again after a restart.');
  expectThat(
    (await within(2000, closed)) === true,
    'the end of `start`’s output',
    'a pipe that someone still holds',
    'containerd reads `start`’s output until every holder has closed it, and the daemon holds it: it must get "ignore".',
  );
  const { pid, argv, env } = readFacts(facts);
  expectSame(
    'the daemon’s session',
    pid,
    readStat(pid)?.session,
    'The daemon is in its caller’s session: a Ctrl-C or the end of a login would end it too. `detached` calls setsid.',
  );
  expectThat(
    !Object.values(env).includes(secret),
    'none of the caller’s variables',
    Object.keys(env).join(' '),
    'What the caller’s environment holds is not the shim’s, and would be the container’s next: environment().',
  );
  const given = (flag: string): string | undefined => argv[argv.indexOf(flag) + 1];
  expectSame(
    'what the daemon was told',
    { '-namespace': namespace, '-id': id, '-address': request.address, '-socket': path },
    Object.fromEntries(['-namespace', '-id', '-address', '-socket'].map((flag) => [flag, given(flag)])),
    'The daemon needs them on its command line.',
  );
}

const readFacts = (path: string): { pid: number; argv: string[]; env: Record<string, string> } =>
  JSON.parse(readFileSync(path, 'utf8')) as ReturnType<typeof readFacts>;

/** What is said to someone who connects, until the end. */
async function firstAnswer(path: string): Promise<string> {
  const socket = connect(path);
  let said = '';
  socket.on('data', (data) => void (said += data.toString()));
  const end = new Promise<string>((resolve) => {
    socket.once('error', (error) => resolve(error.message));
    socket.once('end', () => resolve(said));
  });
  const answered = (await within(8000, end)) ?? 'nothing';
  socket.destroy();
  return answered;
}

async function checkReaper(t: Trial): Promise<void> {
  const reaper = startReaper();
  t.cleanup(() => reaper.close());
  /** Ends processes while no SIGCHLD is heard; then there is one, for all of them. */
  const endTogether = (pids: readonly number[]): void => {
    const listeners = process.listeners('SIGCHLD');
    process.removeAllListeners('SIGCHLD');
    for (const pid of pids) kill(pid, SIGNALS['SIGKILL']!);
    while (pids.some((pid) => readStat(pid)?.state !== 'Z' && readStat(pid) !== undefined));
    for (const listener of listeners) listener('SIGCHLD');
    for (const listener of listeners) process.on('SIGCHLD', listener);
  };

  const [first] = orphans(1);
  const before = readStat(first!);
  expectSame('the orphan’s parent', process.pid, before?.ppid, '');
  endTogether([first!]);
  expectThat(
    readStat(first!) === undefined,
    'an orphan that ended to be gone',
    'a zombie',
    'Nobody else will ever wait for an orphan: it stays a zombie, and its pid namespace cannot end. Look at all children().',
  );
  const several = orphans(3);
  endTogether(several);
  expectSame(
    'zombies when three ended at once',
    0,
    several.filter((pid) => readStat(pid) !== undefined).length,
    'Signals that come together are one signal: look at all children each time.',
  );

  const nodes = spawn('sleep', ['1000'], { stdio: 'ignore' });
  reaper.leave(nodes.pid!);
  const heard = new Promise<string | null>((resolve) => nodes.once('exit', (_, signal) => resolve(signal)));
  endTogether([nodes.pid!]);
  expectSame(
    'what Node hears of its own child',
    'SIGKILL',
    (await within(2000, heard)) ?? 'nothing',
    'You took the exit status of a child that Node waits for; it is told once only. Leave out `nodes`.',
  );

  const code = t.number(1, 120);
  const early = await reaper.adopt(async () => {
    const pid = fork(() => code);
    await eventually(() => readStat(pid) === undefined || readStat(pid)?.state === 'Z');
    await sleep(50); // time for SIGCHLD
    return pid;
  });
  expectSame(
    'the status of a process that ended at once',
    code,
    (await within(2000, early.exited))?.status ?? 'none',
    'It ended before its id was known here: keep the exit in `early` while something is being made.',
  );
  const [late] = orphans(1);
  const adopted = await reaper.adopt(async () => late!);
  kill(late!, SIGNALS['SIGKILL']!);
  expectSame(
    'the status of a process that was killed',
    128 + SIGNALS['SIGKILL']!,
    (await within(2000, adopted.exited))?.status ?? 'none',
    'A process that a signal ended has no code; the custom is 128 and the signal’s number: exitCode.',
  );
}

/** Processes that this one has not made, and is now parent to. */
function orphans(count: number): number[] {
  const script = 'for i in $(seq "$1"); do sleep 1000 <&- >&- 2>&- & echo $!; done';
  // This process is the first of its pid namespace: orphans come to it.
  const output = execFileSync('sh', ['-c', script, 'sh', String(count)], { encoding: 'utf8' });
  return output.trim().split('\n').map(Number);
}

async function checkOutput(t: Trial): Promise<void> {
  const folder = t.folder();
  const open = (stdout: string, stderr = ''): Stdio => {
    const stdio = openStdio({ terminal: false, stdin: '', stdout, stderr }, () => undefined);
    t.cleanup(() => stdio.close());
    return stdio;
  };
  /** A process with this output, to its end. */
  const run = async (stdio: Stdio, script: string): Promise<string> => {
    const child: ChildProcess = spawn('sh', ['-c', script], { stdio: [...stdio.child] });
    const end = new Promise<string>((resolve) =>
      child.once('exit', (code, signal) => resolve(signal ?? `status ${code}`)),
    );
    stdio.handedOver();
    const how = await end;
    await sleep(50); // what it wrote comes by the event loop
    stdio.drain();
    return how;
  };
  const [out, err] = [t.word(), t.word()];

  const file = join(folder, t.word());
  writeFileSync(file, 'before ');
  await run(open(`file://${file}`), `printf ${out}`);
  const text = readFileSync(file, 'utf8');
  const appended = 'The file is appended to: what earlier runs wrote stays.';
  expectSame('the file', `before ${out}`, text, appended);

  const journal = join(folder, t.word());
  const failing = open(`journal://${journal}`, `journal://${journal}`);
  writeSync(failing.child[1] as number, 'the runtime failed');
  await sleep(100);
  expectSame(
    'the journal before the container has begun',
    {},
    recordsIn(journal),
    'What a runtime that failed wrote is no output of the container: begin to read when `begin` is called.',
  );
  await failing.close();
  await run(open(`journal://${journal}`, `journal://${journal}`), `printf ${out}; printf ${err} >&2`);
  const records = recordsIn(journal);
  expectSame(
    'what the journal has of each stream',
    { 1: out, 2: err },
    Object.fromEntries(Object.entries(records).map(([stream, { data }]) => [stream, data])),
    'Each output has its own number in the journal: standard output is 1, standard error is 2.',
  );
  expectSame(
    'how often each stream ended',
    { 1: 1, 2: 1 },
    Object.fromEntries(Object.entries(records).map(([stream, { ends }]) => [stream, ends])),
    'Who follows the journal waits for the end of each stream: journal.end.',
  );

  const fifo = join(folder, t.word());
  execFileSync('mkfifo', [fifo]);
  // Should opening it wait for a reader, one comes, and tells.
  const rescue = spawn('sh', ['-c', 'sleep 2; : > "$0.waited"; exec cat "$0"', fifo], { stdio: 'ignore' });
  t.cleanup(() => void rescue.kill('SIGKILL'));
  let stdio: Stdio;
  try {
    stdio = open(fifo);
  } catch (error) {
    const { message } = answer(error);
    const cause =
      'ENXIO: a fifo cannot be opened for writing without a reader. Open a reading end of our own first.';
    throw new Wrong({ expected: 'the fifo to be opened', observed: message, cause });
  }
  expectThat(
    !existsSync(`${fifo}.waited`),
    'a fifo to be opened at once',
    'a call that waited',
    'Opening a fifo for writing waits for a reader, and the whole shim with it. Open a reading end of our own first, with O_NONBLOCK.',
  );
  rescue.kill('SIGKILL');
  expectSame(
    'how a process ended that wrote while nobody read',
    'status 0',
    await run(stdio, `printf ${out} || exit 1`),
    'SIGPIPE: with the last reader gone, writing kills the process. Keep a reading end of our own open.',
  );
  const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  t.cleanup(() => closeSync(reader));
  const bytes = Buffer.alloc(100);
  const count = readNow(reader, bytes);
  expectSame(
    'what a reader finds who comes later',
    out,
    bytes.toString('utf8', 0, count),
    'Bytes stay in a fifo while someone has it open: keep a reading end of our own.',
  );
  expectSame('an output to nowhere', 'ignore', open('').child[1], 'Without a place: "ignore".');
}

function readNow(fd: number, into: Buffer): number {
  try {
    return readSync(fd, into);
  } catch (error) {
    if (isErrno(error, 'EAGAIN')) return 0;
    throw error;
  }
}

/** What a journal has of each stream, read byte by byte as journal.ts describes it: and how often the stream ended. */
function recordsIn(path: string): Record<string, { data: string; ends: number }> {
  const bytes = readFileSync(path);
  const streams: Record<string, { data: string; ends: number }> = {};
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt32BE(at + 12);
    const stream = (streams[bytes.readUInt8(at + 8)] ??= { data: '', ends: 0 });
    stream.data += bytes.toString('utf8', at + 16, at + 16 + length);
    if (length === 0) stream.ends++;
    at += 16 + length;
  }
  return streams;
}

async function checkRecover(t: Trial): Promise<void> {
  const folder = t.folder();
  const namespace = t.word();
  const [running, ended, dead, empty] = [t.word(), t.word(), t.word(), t.word()];
  const [pid, exitStatus, killed] = [t.number(2, 30_000), t.number(1, 100), t.number(101, 127)];
  const exitedAt = { seconds: t.number(1, 1e9), nanos: t.number(0, 999_999_999) };
  const places = { root: join(folder, 'root'), state: join(folder, 'state') };

  // The shim's program, which is called to clean up: it notes so, and answers.
  const shim = join(folder, 'shim');
  const response = { pid, exitStatus: killed, exitedAt };
  writeFileSync(
    `${shim}.answer`,
    encode(shimProtos().lookupType('containerd.task.v2.DeleteResponse'), response),
  );
  writeFileSync(shim, `#!/bin/sh\necho "$@" >> '${shim}.calls'\ncat '${shim}.answer'\n`);
  chmodSync(shim, 0o755);

  const bundles = new Map<string, string>();
  const shutDown = new Set<string>();
  for (const id of [running, ended, dead, empty]) {
    const bundle = await createBundle(places, { namespace, id, shim, spec: Buffer.from('{}') });
    bundles.set(id, bundle.path);
    const path = join(folder, `${id}.sock`);
    writeFileSync(join(bundle.path, 'address'), `unix://${path}`);
    await serveShim(t, path, {
      state: async () => {
        if (id === empty) throw new TtrpcError(CODE.NOT_FOUND, 'no container');
        const common = { id, execId: '', bundle: bundle.path, pid };
        return id === running
          ? { ...common, status: TASK_STATUS.RUNNING }
          : { ...common, status: TASK_STATUS.STOPPED, exitStatus, exitedAt };
      },
      shutdown: async () => {
        shutDown.add(id);
        return {};
      },
    });
    // A shim that died leaves its socket, and nobody behind it.
    if (id === dead) renameSync(path, `${path}.moved`);
    if (id === dead) await leaveDeadSocket(path);
  }

  const events = createEventBus();
  const told: { topic: string; id: string; status: number }[] = [];
  const stop = new AbortController();
  t.cleanup(() => stop.abort());
  void (async () => {
    for await (const { topic, event } of events.subscribe([], stop.signal)) {
      const known = decodeEvent(event);
      if (known?.type === 'TaskExit' || known?.type === 'TaskDelete')
        told.push({ topic, id: known.containerId, status: known.exitStatus });
    }
  })();
  const toldOf = (id: string): string[] =>
    told.filter((one) => one.id === id).map(({ topic, status }) => `${topic} ${status}`);
  const caller = {
    address: join(folder, 'c.sock'),
    publishBinary: '/bin/true',
    beside: folder,
    debug: false,
  };
  const supervisor = createSupervisor(places, caller, events, () => undefined);
  t.cleanup(() => supervisor.leave());
  expectSame('the tasks of a new server', [], supervisor.list(namespace), '');
  try {
    await supervisor.recover();
  } catch (error) {
    if (!isErrno(error, 'ECONNREFUSED', 'ENOENT')) throw error;
    const cause =
      'A shim that died leaves a socket on which nobody listens. That is one of the cases, and must not end the server.';
    throw new Wrong({ expected: 'the server to come up', observed: answer(error).message, cause });
  }
  await eventually(() => toldOf(ended).length > 0 && toldOf(dead).length > 1, 500);

  expectSame(
    'what is told of a container whose shim is gone',
    [`/tasks/exit ${killed}`, `/tasks/delete ${killed}`],
    toldOf(dead),
    'Its clients wait for its end, and processes of it may still run: cleanUpAfter.',
  );
  expectThat(
    existsSync(`${shim}.calls`) && readFileSync(`${shim}.calls`, 'utf8').includes(dead),
    'its shim’s program to have been called to clean up',
    'no call',
    'cleanUpAfter does this.',
  );
  expectSame(
    'what is told of a container that ended without a server',
    [`/tasks/exit ${exitStatus}`],
    toldOf(ended),
    'It ended while nobody listened: ask the shim (taskState), and tell it now.',
  );
  expectSame('what is told of one that runs', [], toldOf(running), 'It still runs: tell nothing.');
  expectThat(
    !supervisor.has(namespace, empty) && shutDown.has(empty) && !existsSync(bundles.get(empty)!),
    'a shim without a container to be shut down, and its bundle to be gone',
    supervisor.has(namespace, empty) ? 'a task' : 'a shim or a bundle that is left',
    'It never got its container, or has deleted it: nobody will ever ask for it. shutDown, cleanUpByShim, removeBundleQuietly.',
  );
  const ids = supervisor.list(namespace).map(({ bundle }) => bundle.id);
  expectSame('the tasks', [running, ended].sort(), ids.sort(), 'Both have a shim that answers: adopt.');
  expectSame(
    'the bundles',
    [running, ended].sort(),
    readdirSync(dirname(bundles.get(running)!)).sort(),
    'Those of live containers stay, the others go.',
  );

  // The shim found nobody home when its container ended, and now tells again.
  supervisor.receive(exitOf({ namespace, id: ended, pid, exitStatus, exitedAt }));
  await sleep(50);
  expectSame(
    'what is told when its shim tells again',
    [`/tasks/exit ${exitStatus}`],
    toldOf(ended),
    'The same end was told twice: note it in task.exits before you tell it.',
  );
}

type Exited = { namespace: string; id: string; pid: number; exitStatus: number };

/** A shim's message that a container's first process has ended. */
function exitOf({
  namespace,
  id,
  ...exit
}: Exited & { exitedAt: object }): Parameters<ReturnType<typeof createSupervisor>['receive']>[0] {
  const value = encode(shimProtos().lookupType('containerd.events.TaskExit'), {
    containerId: id,
    id,
    ...exit,
  });
  const event = { typeUrl: 'containerd.events.TaskExit', value };
  return { timestamp: null, namespace, topic: '/tasks/exit', event };
}

/** Serves the Task service as a shim does; Shutdown ends its connections. */
async function serveShim(
  t: Trial,
  path: string,
  functions: Record<'state' | 'shutdown', () => Promise<object>>,
): Promise<void> {
  const server = createServer();
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  const hangUp = (): void => sockets.forEach((socket) => socket.destroy());
  const shutdown = async (): Promise<object> => {
    setTimeout(hangUp, 20);
    return functions.shutdown();
  };
  serveTtrpc(server, [{ service: taskServiceType(), functions: { ...functions, shutdown } }]);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.cleanup(() => {
    hangUp();
    server.close();
  });
}

/** A socket's file without anyone who listens. */
async function leaveDeadSocket(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}.tmp`, resolve));
  renameSync(`${path}.tmp`, path);
  await new Promise((resolve) => server.close(resolve));
}
