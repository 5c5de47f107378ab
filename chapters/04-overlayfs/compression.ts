import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
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
 * The bytes as they were before gzip; what is not compressed passes through.
 * @throws StoreError INVALID_ARGUMENT for other compressions, and for damaged gzip
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
  if (compression !== 'gzip') throw invalidArgument(`compressed with ${compression}: only gzip can be read`);
  const input = Readable.from(all(), { objectMode: false });
  const gunzip = createGunzip();
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
