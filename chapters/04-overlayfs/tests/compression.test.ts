import { randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { decompress } from '../index.ts';

/** One frame of raw and of repeated blocks, made by hand: no zstd program is needed. RFC 8878, section 3.1.1. */
function zstdFrame(blocks: readonly { bytes: Buffer; times?: number }[]): Buffer {
  const header = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x60]);
  const pieces = blocks.map(({ bytes, times }, i) => {
    const last = i === blocks.length - 1 ? 1 : 0;
    const size = times ?? bytes.length;
    const word = (size << 3) | ((times === undefined ? 0 : 1) << 1) | last;
    return Buffer.concat([Buffer.from([word & 255, (word >> 8) & 255, (word >> 16) & 255]), bytes]);
  });
  return Buffer.concat([header, ...pieces]);
}

async function read(bytes: Buffer, piece = 1000): Promise<Buffer> {
  async function* pieces(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += piece) yield bytes.subarray(at, at + piece);
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of decompress(pieces())) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe('decompress', () => {
  test('reads zstd, piece by piece', async () => {
    const raw = randomBytes(50_000);
    const frame = zstdFrame([{ bytes: raw }, { bytes: Buffer.from('x'), times: 100_000 }, { bytes: raw }]);
    const expected = Buffer.concat([raw, Buffer.alloc(100_000, 'x'), raw]);
    for (const piece of [1, 7, 1000, 1 << 20]) expect((await read(frame, piece)).equals(expected)).toBe(true);
  });

  test('refuses what is damaged, cut off, or unknown, and says what it is', async () => {
    const frame = zstdFrame([{ bytes: randomBytes(5000) }]);
    await expect(read(frame.subarray(0, 3000))).rejects.toThrow('the zstd data is damaged');
    frame[6] = 0x06 | 1; // a block of the reserved kind
    await expect(read(frame)).rejects.toThrow('the zstd data is damaged');
    await expect(read(gzipSync(randomBytes(5000)).subarray(0, 3000))).rejects.toThrow(
      'the gzip data is damaged',
    );
    await expect(read(Buffer.from('BZh91AY&SY'))).rejects.toThrow(
      'compressed with bzip2: only gzip and zstd',
    );
  });

  test('passes on what is not compressed, however short', async () => {
    for (const text of ['', 'a', 'plain bytes'])
      expect((await read(Buffer.from(text), 1)).toString()).toBe(text);
  });
});
