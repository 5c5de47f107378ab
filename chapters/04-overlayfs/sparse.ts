import { invalidArgument } from './errors.ts';
import { BLOCK, decodeNumber } from './tar-header.ts';

/*
 * A sparse file has holes: ranges that were never written, read as zeros and take no room on the disk. A tar can leave them out too, and
 * says where the bytes that it has belong. GNU tar has had four spellings for that. They are read here and never written: the OCI
 * image-spec (layer.md, "Sparse files") asks layers to do without, and the digest of a tree must not depend on where a disk has holes.
 * Source: GNU tar manual, "Storing Sparse Files".
 */

/** A range of a file that has bytes. */
export interface Extent {
  offset: number;
  length: number;
}

/** Bytes, and where in the file they belong. */
export interface Part {
  at: number;
  bytes: Buffer;
}

export interface SparseFile {
  /** bytes, holes included */
  size: number;
  extents: Extent[];
  /** bytes that are in the tar */
  stored: number;
}

/** What is known of an entry that may be sparse. */
interface Entry {
  /** The entry's header block. */
  block: Buffer;
  typeflag: string;
  /** The entry's pax records. */
  records: ReadonlyMap<string, Buffer>;
  /** bytes that follow the header, by what it says */
  stored: number;
}

/** A map of more pieces than this is refused. */
const EXTENT_LIMIT = 1_000_000;
/** Bytes of holes that are given out as zeros to a reader that wants every byte; writing a file needs none of them. */
const ZEROS_LIMIT = 1024 ** 3;

/**
 * The map of a sparse entry; `undefined` for any other. Source: GNU tar manual, "Sparse Formats" (old GNU, 0.0, 0.1, 1.0).
 * @param exactly reads on in the tar: part of some maps follows the header
 * @throws StoreError INVALID_ARGUMENT for a map that lies: out of order, over each other, beyond the file, of other bytes than follow
 */
export async function readSparseMap(
  { block, typeflag, records, stored }: Entry,
  exactly: (size: number) => Promise<Buffer>,
): Promise<SparseFile | undefined> {
  const text = (key: string): string | undefined => records.get(`GNU.sparse.${key}`)?.toString('latin1');
  const version = `${text('major') ?? 0}.${text('minor') ?? 0}`;
  let file: SparseFile;
  if (typeflag === 'S') {
    file = { size: decodeNumber(block.subarray(483, 495)), extents: await oldGnuMap(block, exactly), stored };
  } else if (version === '1.0') {
    const { extents, used } = await mapInBody(stored, exactly);
    file = { size: decimal(text('realsize')), extents, stored: stored - used };
  } else if (version === '0.0' && text('map') !== undefined) {
    const numbers = text('map')!.split(',').filter(Boolean).map(decimal);
    file = { size: decimal(text('size') ?? text('realsize')), extents: inPairs(numbers), stored };
    if (decimal(text('numblocks')) !== file.extents.length) throw wrongMap('numblocks is another number');
  } else if ([...records.keys()].some((key) => key.startsWith('GNU.sparse.')))
    throw wrongMap(`version ${version} is not known, or has no map`);
  else return undefined;
  check(file);
  return file;
}

/** Four pieces stand in the header, and 21 in each block that follows while a byte says so. */
async function oldGnuMap(block: Buffer, exactly: (size: number) => Promise<Buffer>): Promise<Extent[]> {
  const extents: Extent[] = [];
  const read = (from: Buffer, at: number, count: number): void => {
    for (let i = 0; i < count && from[at + 24 * i] !== 0; i++) {
      const piece = from.subarray(at + 24 * i, at + 24 * (i + 1));
      extents.push({ offset: decodeNumber(piece.subarray(0, 12)), length: decodeNumber(piece.subarray(12)) });
    }
  };
  read(block, 386, 4);
  for (let more = block[482] !== 0; more;) {
    const next = await exactly(BLOCK);
    read(next, 0, 21);
    more = next[504] !== 0;
    if (extents.length > EXTENT_LIMIT) throw wrongMap(`it has more than ${EXTENT_LIMIT} pieces`);
  }
  return extents;
}

/** Version 1.0: numbers in lines, how many pieces and then each, fill the first blocks of the entry. */
async function mapInBody(
  stored: number,
  exactly: (size: number) => Promise<Buffer>,
): Promise<{ extents: Extent[]; used: number }> {
  let text = '';
  let used = 0;
  const next = async (): Promise<number> => {
    for (;;) {
      const end = text.indexOf('\n');
      if (end !== -1) {
        const line = text.slice(0, end);
        text = text.slice(end + 1);
        return decimal(line);
      }
      if (text.length > BLOCK || used + BLOCK > stored) throw wrongMap('it does not end');
      text += (await exactly(BLOCK)).toString('latin1');
      used += BLOCK;
    }
  };
  const count = await next();
  if (count > EXTENT_LIMIT) throw wrongMap(`it has ${count} pieces; ${EXTENT_LIMIT} are allowed`);
  const numbers: number[] = [];
  for (let i = 0; i < 2 * count; i++) numbers.push(await next());
  return { extents: inPairs(numbers), used };
}

function inPairs(numbers: readonly number[]): Extent[] {
  if (numbers.length % 2 !== 0) throw wrongMap('an offset has no length');
  return numbers.flatMap((offset, i) => (i % 2 === 0 ? [{ offset, length: numbers[i + 1]! }] : []));
}

function decimal(text: string | undefined): number {
  if (text === undefined || !/^\d{1,15}$/.test(text)) throw wrongMap(`${JSON.stringify(text)} is no number`);
  return Number(text);
}

function check({ size, extents, stored }: SparseFile): void {
  let end = 0;
  let sum = 0;
  for (const { offset, length } of extents) {
    if (offset < end || length < 0 || offset + length > size)
      throw wrongMap(`${length} bytes at ${offset}, after ${end} and of ${size}`);
    end = offset + length;
    sum += length;
  }
  if (sum !== stored) throw wrongMap(`it is of ${sum} bytes; ${stored} follow`);
}

const wrongMap = (why: string): Error => invalidArgument(`the map of a sparse file is wrong: ${why}`);

/** The bytes of an entry, each with its place in the file. */
export async function* partsOf(
  extents: readonly Extent[],
  data: AsyncIterable<Buffer>,
): AsyncGenerator<Part> {
  const filled = extents.filter(({ length }) => length > 0);
  let done = 0;
  for await (let bytes of data)
    while (bytes.length > 0) {
      const { offset, length } = filled[0]!;
      const part = bytes.subarray(0, length - done);
      yield { at: offset + done, bytes: part };
      bytes = bytes.subarray(part.length);
      done += part.length;
      if (done === length) {
        filled.shift();
        done = 0;
      }
    }
}

/** The same as one stream, with zeros for the holes. @throws StoreError INVALID_ARGUMENT when that would be too many */
export async function* withZeros(
  { size, extents, stored }: SparseFile,
  data: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer> {
  if (size - stored > ZEROS_LIMIT)
    throw invalidArgument(
      `a sparse file with ${size - stored} bytes of holes; ${ZEROS_LIMIT} are allowed here`,
    );
  const zeros = Buffer.alloc(1 << 16);
  let end = 0;
  const upTo = function* (to: number): Generator<Buffer> {
    while (end < to) {
      const some = zeros.subarray(0, to - end);
      yield some;
      end += some.length;
    }
  };
  for await (const { at, bytes } of partsOf(extents, data)) {
    yield* upTo(at);
    yield bytes;
    end += bytes.length;
  }
  yield* upTo(size);
}
