import { expectSame, type Exercise, type Trial } from '../01-processes/index.ts';
import { answer } from './exercise-support.ts';
import { frameDecoder, MAX_PAYLOAD, type Frame } from './ttrpc-frame.ts';

export const framing: Exercise = {
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
};

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
