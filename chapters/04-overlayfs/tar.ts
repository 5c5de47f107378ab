import { invalidArgument } from './errors.ts';
import { decodeName } from './file-names.ts';
import { partsOf, readSparseMap, withZeros, type Part } from './sparse.ts';
import {
  BLOCK,
  decodeHeader,
  encodeHeader,
  padding,
  parseTime,
  TAR_TYPES,
  xattrName,
  type RawHeader,
  type TarHeader,
} from './tar-header.ts';

/** An entry of a tar that is being read. Its bytes are read, once and in one way, before the next entry is asked for, or skipped. */
export interface TarEntry {
  header: TarHeader;
  /** The bytes of a file; where a sparse one has holes, zeros. */
  body: AsyncIterable<Buffer>;
  /** The same without the holes. */
  parts: AsyncIterable<Part>;
}

/** The largest extended header accepted, in bytes. */
const HEADER_LIMIT = 1024 * 1024;

/**
 * Reads a tar (ustar, pax, GNU) entry by entry, to its very last byte. Own code, and not the tar-stream package, for things that
 * layers need: names and extended attributes are bytes, mode 0 is a mode, and sparse files keep their holes.
 * Source: POSIX pax(1); GNU tar manual, "Basic Tar Format".
 * @throws StoreError INVALID_ARGUMENT when it is no tar, is cut off (its end mark is missing), or holds what cannot be unpacked exactly
 */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry> {
  const bytes = byteReader(source);
  let global = new Map<string, Buffer>();
  let local = new Map<string, Buffer>();
  try {
    for (;;) {
      const block = await bytes.exactly(BLOCK);
      if (block.every((byte) => byte === 0)) break;
      const raw = decodeHeader(block);
      const extension = EXTENSIONS[raw.typeflag];
      if (extension) {
        if (raw.size > HEADER_LIMIT)
          throw invalidArgument(`a tar header of ${raw.size} bytes is larger than ${HEADER_LIMIT}`);
        const data = await bytes.exactly(raw.size + padding(raw.size));
        const records = extension(data.subarray(0, raw.size));
        if (raw.typeflag === 'g') global = new Map([...global, ...records]);
        else local = new Map([...local, ...records]);
        continue;
      }
      const records = new Map([...global, ...local]);
      local = new Map();
      const header = withExtensions(raw, records);
      const { typeflag } = raw;
      const sparse = await readSparseMap({ block, typeflag, records, stored: header.size }, bytes.exactly);
      const stored = sparse?.stored ?? header.size;
      header.size = sparse?.size ?? header.size;
      const data = bytes.pieces(stored);
      const parts = partsOf(sparse?.extents ?? [{ offset: 0, length: stored }], data);
      yield { header, body: sparse ? withZeros(sparse, data) : data, parts };
      for await (const _ of data); // what the reader left
      await bytes.exactly(padding(stored));
    }
    await bytes.drain();
  } finally {
    await bytes.close();
  }
}

/** 2³² - 1 is chown(2)'s "leave it as it is". */
const LARGEST_ID = 2 ** 32 - 2;

/** Headers that say something about the next one. */
const EXTENSIONS: Record<string, (data: Buffer) => Map<string, Buffer>> = {
  x: parsePax,
  g: parsePax,
  L: (data) => new Map([['path', untilNul(data)]]),
  K: (data) => new Map([['linkpath', untilNul(data)]]),
};

const untilNul = (data: Buffer): Buffer => data.subarray(0, data.includes(0) ? data.indexOf(0) : data.length);

const SPARSE_MAP = 'GNU.sparse.map';
const COMMA = Buffer.from(',');

function parsePax(data: Buffer): Map<string, Buffer> {
  const records = new Map<string, Buffer>();
  for (let at = 0; at < data.length;) {
    const space = data.indexOf(' ', at);
    const length = Number(data.toString('latin1', at, space));
    const equals = data.indexOf('=', space);
    if (space === -1 || !(length > 0) || at + length > data.length || equals === -1 || equals > at + length)
      throw invalidArgument('a pax header of the tar is damaged');
    const key = decodeName(data.subarray(space + 1, equals));
    const value = data.subarray(equals + 1, at + length - 1);
    // The first of GNU's maps of sparse files repeats two keys; the later ones have a list, which this makes of it.
    const isPiece = key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes';
    if (isPiece)
      records.set(SPARSE_MAP, Buffer.concat([records.get(SPARSE_MAP) ?? Buffer.alloc(0), value, COMMA]));
    else records.set(key, value);
    at += length;
  }
  return records;
}

function withExtensions(raw: RawHeader, records: Map<string, Buffer>): TarHeader {
  const { typeflag, ...fields } = raw;
  const text = (key: string): string | undefined => {
    const value = records.get(key);
    return value?.length ? decodeName(value) : undefined;
  };
  const number = (key: string): number | undefined => {
    const value = text(key);
    if (value !== undefined && !/^\d{1,15}$/.test(value))
      throw invalidArgument(`${key}=${value} in a pax header is no number`);
    return value === undefined ? undefined : Number(value);
  };
  const name = text('GNU.sparse.name') ?? text('path') ?? raw.name;
  // Tars from before 1988 know no directories, but names that end in a slash.
  const flag = typeflag === '0' && name.endsWith('/') ? '5' : typeflag;
  const type = flag === 'S' ? 'file' : TAR_TYPES[flag as keyof typeof TAR_TYPES];
  if (!type)
    throw invalidArgument(`${JSON.stringify(name)} has the unknown tar type ${JSON.stringify(flag)}`);
  const mtime = text('mtime');
  const header: TarHeader = {
    ...fields,
    type,
    name,
    linkname: text('linkpath') ?? raw.linkname,
    size: type === 'file' ? (number('size') ?? raw.size) : 0,
    uid: number('uid') ?? raw.uid,
    gid: number('gid') ?? raw.gid,
    mtime: mtime === undefined ? raw.mtime : parseTime(mtime),
  };
  if (header.size < 0) throw invalidArgument(`${JSON.stringify(name)} has the size ${header.size}`);
  if (header.linkname.includes('\0'))
    throw invalidArgument(`${JSON.stringify(name)} links to a name with a NUL in it`);
  for (const key of ['uid', 'gid'] as const)
    if (header[key] < 0 || header[key] > LARGEST_ID)
      throw invalidArgument(`${JSON.stringify(name)} has the ${key} ${header[key]}: from 0 to ${LARGEST_ID}`);
  for (const [key, value] of records) {
    const xattr = xattrName(key);
    if (xattr !== undefined) header.xattrs.set(xattr, value);
  }
  return header;
}

/** Gives a stream of chunks in the pieces that are asked for. */
function byteReader(source: AsyncIterable<Uint8Array>) {
  const chunks = source[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);
  const cut = (): Error => invalidArgument('the tar is cut off');

  async function more(): Promise<boolean> {
    const { done, value } = await chunks.next();
    if (done) return false;
    const chunk = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    return true;
  }

  return {
    /** The next `size` bytes together. */
    async exactly(size: number): Promise<Buffer> {
      while (rest.length < size) if (!(await more())) throw cut();
      const taken = rest.subarray(0, size);
      rest = rest.subarray(size);
      return taken;
    },
    /** The next `size` bytes as they come. Can be read twice: the second time goes on where the first stopped. */
    pieces(size: number): AsyncIterable<Buffer> {
      let left = size;
      async function* pieces(): AsyncGenerator<Buffer> {
        while (left > 0) {
          if (rest.length === 0 && !(await more())) throw cut();
          const piece = rest.subarray(0, left);
          rest = rest.subarray(piece.length);
          left -= piece.length;
          yield piece;
        }
      }
      return { [Symbol.asyncIterator]: pieces };
    },
    async drain(): Promise<void> {
      do rest = Buffer.alloc(0);
      while (await more());
    },
    /** Tells the source that no more is wanted, so that it can let go of its file. */
    async close(): Promise<void> {
      await chunks.return?.();
    },
  };
}

/** What is to be written: a header and, for a file, its bytes. */
export interface TarInput {
  header: TarHeader;
  body?: AsyncIterable<Uint8Array> | Uint8Array;
}

/**
 * Writes a tar: the same bytes for the same entries, always.
 * @throws StoreError INVALID_ARGUMENT when a body is not as long as its header says
 */
export async function* writeTar(
  entries: AsyncIterable<TarInput> | Iterable<TarInput>,
): AsyncGenerator<Buffer> {
  for await (const { header, body = Buffer.alloc(0) } of entries) {
    yield encodeHeader(header);
    let written = 0;
    for await (const chunk of body instanceof Uint8Array ? [body] : body) {
      written += chunk.length;
      if (chunk.length > 0) yield Buffer.from(chunk);
    }
    if (written !== header.size)
      throw invalidArgument(
        `${JSON.stringify(header.name)}: ${written} bytes, announced were ${header.size}`,
      );
    yield Buffer.alloc(padding(header.size));
  }
  yield Buffer.alloc(2 * BLOCK);
}
