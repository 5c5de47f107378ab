import { expectSame, expectThat, type Exercise, type Trial } from '../01-processes/index.ts';
import { demultiplex, type OutputFrame } from './cli-demultiplex.ts';
import { answer, bytesOf, within } from './exercise-support.ts';

export const demultiplexing: Exercise = {
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
};

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
