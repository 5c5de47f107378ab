import { createHash, type Hash } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { digestHex, digestOf, parseDigest, type Digest } from './digest.ts';
import { alreadyExists, failedPrecondition, invalidArgument, notFound, StoreError } from './errors.ts';
import type { Labels } from './labels.ts';
import { readState, syncDirectory, writeState, type Versioned } from './state-file.ts';

/** How far the writing of a blob is. */
export interface IngestStatus {
  /** The writer's own name for it, as long as its digest is not known. */
  ref: string;
  /** bytes written */
  offset: number;
  /** bytes expected, 0 if not announced */
  total: number;
  /** The digest announced, if one was. */
  expected?: Digest;
  startedAt: Date;
  updatedAt: Date;
}

export interface WriterOptions {
  /** bytes */
  total?: number;
  expected?: string;
}

/** One blob being written. What is not committed is kept after `close`, so that a download can be resumed. */
export interface ContentWriter {
  status(): IngestStatus;
  /** The digest of what has been written so far. */
  digest(): Digest;
  /** Appends. */
  write(data: Uint8Array): Promise<void>;
  /** Throws away all after the first `size` bytes. */
  truncate(size: number): Promise<void>;
  /**
   * Gives the bytes their name, if they are what was announced, and ends the writing. In one step: nobody sees half a blob.
   * @throws StoreError FAILED_PRECONDITION when size or digest differ (what was written is kept), ALREADY_EXISTS when the
   * store has these bytes (what was written is dropped)
   */
  commit(expect?: { size?: number; expected?: string; labels?: Labels }): Promise<Digest>;
  /** Ends this writer without a commit. Does nothing after one. */
  close(): Promise<void>;
}

/** What the ingests need of the store that they end in. */
interface Destination {
  exists(digest: Digest): Promise<boolean>;
  /** Notes the labels, and says where the blob is to lie. */
  place(digest: Digest, labels: Labels): Promise<string>;
}

export interface Ingests {
  open(ref: string, options?: WriterOptions): Promise<ContentWriter>;
  status(ref: string): Promise<IngestStatus>;
  statuses(): Promise<IngestStatus[]>;
  abort(ref: string): Promise<void>;
}

interface IngestState extends Versioned {
  ref: string;
  total: number;
  expected?: Digest;
  startedAt: string;
}

const VERSION = 1;
const beingWritten = (ref: string): StoreError =>
  new StoreError('UNAVAILABLE', `ingest ${JSON.stringify(ref)}: someone is writing it`);

/** The unfinished writings in `dir`: `HASH OF REF/{data,ingest.json}`. */
export async function openIngests(dir: string, destination: Destination): Promise<Ingests> {
  await mkdir(dir, { recursive: true });
  /** Refs that a writer of this process holds. */
  const writing = new Set<string>();
  const ingestDir = (ref: string): string => join(dir, digestHex(digestOf(ref)));

  async function statusIn(path: string): Promise<IngestStatus | undefined> {
    const state = await readState<IngestState>(join(path, 'ingest.json'), VERSION);
    if (!state) return undefined;
    const data = await stat(join(path, 'data')).catch(() => undefined);
    const startedAt = new Date(state.startedAt);
    return {
      ref: state.ref,
      offset: data?.size ?? 0,
      total: state.total,
      ...(state.expected && { expected: state.expected }),
      startedAt,
      updatedAt: data?.mtime ?? startedAt,
    };
  }

  async function status(ref: string): Promise<IngestStatus> {
    const known = await statusIn(ingestDir(ref));
    if (!known) throw notFound(`ingest ${JSON.stringify(ref)}`);
    return known;
  }

  async function begin(ref: string, options: WriterOptions): Promise<IngestStatus> {
    const expected = options.expected ? parseDigest(options.expected) : undefined;
    if (expected && (await destination.exists(expected))) throw alreadyExists(`content ${expected}`);
    const path = ingestDir(ref);
    const known = await statusIn(path);
    if (known && expected && known.expected && known.expected !== expected)
      throw failedPrecondition(
        `ingest ${JSON.stringify(ref)} was begun for ${known.expected}, not ${expected}`,
      );
    if (known) return known;
    const state: IngestState = {
      version: VERSION,
      ref,
      total: options.total ?? 0,
      ...(expected && { expected }),
      startedAt: new Date().toISOString(),
    };
    try {
      await writeState(join(path, 'ingest.json'), state);
    } catch (error) {
      await rm(path, { recursive: true, force: true }); // on a full disk a folder is all there would be
      throw error;
    }
    return status(ref);
  }

  return {
    status,
    async statuses() {
      const all = await Promise.all((await readdir(dir)).map((name) => statusIn(join(dir, name))));
      return all.filter((known) => known !== undefined);
    },
    async abort(ref) {
      await status(ref);
      if (writing.has(ref)) throw beingWritten(ref);
      await rm(ingestDir(ref), { recursive: true });
    },
    async open(ref, options = {}) {
      if (!ref) throw invalidArgument('a writer needs a ref: any name that is not empty');
      if (writing.has(ref)) throw beingWritten(ref);
      writing.add(ref);
      try {
        const begun = await begin(ref, options);
        return await openWriter(begun, ingestDir(ref), destination, () => writing.delete(ref));
      } catch (error) {
        writing.delete(ref);
        throw error;
      }
    },
  };
}

async function openWriter(
  begun: IngestStatus,
  dir: string,
  destination: Destination,
  released: () => void,
): Promise<ContentWriter> {
  const path = join(dir, 'data');
  const file = await open(path, 'a+', 0o600);
  let hash = await hashOf(file, begun.offset);
  let { offset, updatedAt } = begun;
  let closed = false;
  const flush = flusher(file);

  const digest = (): Digest => `sha256:${hash.copy().digest('hex')}`;
  async function close(): Promise<void> {
    if (closed) return;
    closed = true;
    released();
    await file.close();
  }

  return {
    status: () => ({ ...begun, offset, updatedAt }),
    digest,
    close,
    async write(data) {
      // Disk and processor work at the same time.
      const written = file.appendFile(data);
      hash.update(data);
      try {
        await written;
      } catch (error) {
        // A part of it may be there: back to where all was well.
        await file.truncate(offset).catch(() => undefined);
        hash = await hashOf(file, offset);
        throw error;
      }
      offset += data.length;
      updatedAt = new Date();
      flush.written(data.length);
    },
    async truncate(size) {
      if (size === offset) return;
      if (size > offset)
        throw invalidArgument(`cannot truncate to ${size} bytes: only ${offset} are written`);
      await file.truncate(size);
      hash = await hashOf(file, size);
      offset = size;
    },
    async commit({ size, expected, labels = {} } = {}) {
      await flush.over();
      //#gap 04.2 commitBlob
      const actual = digest();
      const announced = expected ? parseDigest(expected) : begun.expected;
      if (size && size !== offset)
        throw failedPrecondition(`${begun.ref}: ${offset} bytes were written, ${size} were announced`);
      if (announced && announced !== actual)
        throw failedPrecondition(
          `${begun.ref}: the bytes have the digest ${actual}, announced was ${announced}`,
        );
      await file.sync();
      await close();
      const isNew = !(await destination.exists(actual));
      if (isNew) {
        const blob = await destination.place(actual, labels);
        await rename(path, blob);
        await syncDirectory(dirname(blob));
      }
      await rm(dir, { recursive: true });
      if (!isNew) throw alreadyExists(`content ${actual}`);
      return actual;
      //#end
    },
  };
}

/** So many bytes may wait in memory before the disk is asked to take them. */
const FLUSH = 16 << 20;

/**
 * Has the disk take what is written while more comes, so that little is left to wait for in the end. `over` waits for the last of it.
 * The kernel tells an error of the disk only once: one of these is kept, and thrown by `over`. Source: fsync(2).
 */
function flusher(file: FileHandle): { written(bytes: number): void; over(): Promise<void> } {
  let waiting = 0;
  let flushing: Promise<void> | undefined;
  let failure: { error: unknown } | undefined;
  return {
    written(bytes) {
      waiting += bytes;
      if (waiting < FLUSH || flushing) return;
      waiting = 0;
      flushing = file
        .datasync()
        .catch((error: unknown) => void (failure ??= { error }))
        .finally(() => (flushing = undefined));
    },
    async over() {
      await flushing;
      if (failure) throw failure.error;
    },
  };
}

/** The hash of a file's first `size` bytes: what an earlier process wrote, or what a truncation left. */
async function hashOf(file: FileHandle, size: number): Promise<Hash> {
  const hash = createHash('sha256');
  const buffer = Buffer.alloc(256 * 1024);
  for (let at = 0; at < size;) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, size - at), at);
    if (bytesRead === 0) break;
    hash.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
  return hash;
}
