import { Readable, type TransformOptions } from 'node:stream';
import { createGunzip, type ZlibOptions } from 'node:zlib';
import { Decompress } from 'fzstd';
import { invalidArgument } from './errors.ts';

/** The first bytes of what may come compressed. */
const MAGIC: [name: string, bytes: number[]][] = [
  ['gzip', [0x1f, 0x8b]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
  ['bzip2', [0x42, 0x5a, 0x68]],
];

/** How a blob is compressed, told from its first bytes; `undefined` if it is not. */
export function compressionOf(start: Uint8Array): string | undefined {
  return MAGIC.find(([, bytes]) => bytes.every((byte, i) => start[i] === byte))?.[0];
}

/**
 * The bytes as they were before gzip or zstd; what is not compressed passes through.
 * @throws StoreError INVALID_ARGUMENT for other compressions, and for what is damaged or cut off
 */
export async function* decompress(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const chunks = source[Symbol.asyncIterator]();
  const start: Uint8Array[] = [];
  let length = 0;
  while (length < 6) {
    const { done, value } = await chunks.next();
    if (done) break;
    start.push(value);
    length += value.length;
  }
  async function* all(): AsyncGenerator<Uint8Array> {
    try {
      yield* start;
      for (let next = await chunks.next(); !next.done; next = await chunks.next()) yield next.value;
    } finally {
      await chunks.return?.();
    }
  }
  const compression = compressionOf(Buffer.concat(start));
  if (compression === undefined) return yield* all();
  if (compression === 'gzip') return yield* gunzip(all());
  if (compression === 'zstd') return yield* unzstd(all());
  throw invalidArgument(`compressed with ${compression}: only gzip and zstd can be read`);
}

/** What is decompressed at a time. Bytes. */
const PIECE = 256 << 10;

async function* gunzip(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const input = Readable.from(source, { objectMode: false, highWaterMark: PIECE });
  // Each piece costs a trip to another thread and back: few large ones, and the next while this one is being used.
  const options: ZlibOptions & TransformOptions = { chunkSize: PIECE, highWaterMark: 2 * PIECE };
  const gunzip = createGunzip(options);
  // An error of the source is to reach whoever reads the result.
  input.on('error', (error) => gunzip.destroy(error));
  try {
    for await (const chunk of input.pipe(gunzip)) yield chunk as Buffer;
  } catch (error) {
    if (error instanceof Error && 'code' in error && String(error.code).startsWith('Z_'))
      throw invalidArgument(`the gzip data is damaged: ${error.message}`);
    throw error;
  } finally {
    input.destroy();
  }
}

/** Compressed bytes are given to the decoder in pieces of this size: what comes out of one is held in memory. */
const ZSTD_PIECE = 64 << 10;

/** Node 20 has no zstd of its own. */
async function* unzstd(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let out: Uint8Array[] = [];
  const decoder = new Decompress((chunk) => void out.push(chunk));
  const push = (piece: Uint8Array, last: boolean): Uint8Array[] => {
    try {
      decoder.push(piece, last);
    } catch (error) {
      throw invalidArgument(`the zstd data is damaged: ${(error as Error).message}`, error);
    }
    const ready = out;
    out = [];
    return ready;
  };
  for await (const chunk of source)
    for (let at = 0; at < chunk.length; at += ZSTD_PIECE)
      yield* push(chunk.slice(at, at + ZSTD_PIECE), false);
  yield* push(new Uint8Array(), true);
}
