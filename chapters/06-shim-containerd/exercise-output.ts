import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expectSame, expectThat, isErrno, Wrong, type Exercise, type Trial } from '../01-processes/index.ts';
import { answer } from './exercise-support.ts';
import { openStdio, type Stdio } from './stdio.ts';

export const outputs: Exercise = {
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
};

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
