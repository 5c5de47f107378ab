import { expectSame, type Exercise, type Trial } from '../01-processes/index.ts';
import { answer, bytesOf } from './exercise-support.ts';
import { frame, type StreamNumber } from './stdcopy.ts';

export const framing: Exercise = {
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
};

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
