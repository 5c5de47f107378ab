import { createHash } from 'node:crypto';
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../01-processes/index.ts';
import { openIngests, type ContentWriter, type IngestStatus, type WriterOptions } from './content-writer.ts';
import { digestHex, parseDigest, type Digest } from './digest.ts';
import { dataLoss, isStoreError, notFound } from './errors.ts';
import { updatedLabels, type Labels } from './labels.ts';
import { gathered } from './pieces.ts';
import { readState, serializer, writeState, type Versioned } from './state-file.ts';

/** What is known of a blob, as in containerd's content service. */
export interface ContentInfo {
  digest: Digest;
  /** bytes */
  size: number;
  createdAt: Date;
  updatedAt: Date;
  labels: Labels;
}

/** Bytes kept under their own digest: nothing can be changed without changing its name. */
export interface ContentStore {
  /** What is known of a blob. @throws StoreError NOT_FOUND */
  info(digest: string): Promise<ContentInfo>;
  /** Every blob. */
  list(): Promise<ContentInfo[]>;
  /** Changes labels (see `updatedLabels`). @throws StoreError NOT_FOUND, INVALID_ARGUMENT */
  update(digest: string, labels: Labels, fieldpaths?: readonly string[]): Promise<ContentInfo>;
  /** Forgets a blob. @throws StoreError NOT_FOUND */
  delete(digest: string): Promise<void>;
  /** A blob whole, verified before it is given. @throws StoreError NOT_FOUND, DATA_LOSS */
  readAll(digest: string): Promise<Buffer>;
  /**
   * A blob or a part of it, piece by piece. What is read from first to last byte is verified as it passes: a wrong one
   * ends in an error, so nobody may act on the bytes before the end.
   * @throws StoreError NOT_FOUND, DATA_LOSS
   */
  read(digest: string, range?: { offset?: number; size?: number }): AsyncIterable<Buffer>;
  /** Begins, or goes on with, the writing of a blob. @throws StoreError ALREADY_EXISTS, UNAVAILABLE (someone else writes) */
  writer(ref: string, options?: WriterOptions): Promise<ContentWriter>;
  /** How far a writing is. @throws StoreError NOT_FOUND */
  status(ref: string): Promise<IngestStatus>;
  /** All writings that have begun and not ended. */
  statuses(): Promise<IngestStatus[]>;
  /** Throws away what was written under `ref`. @throws StoreError NOT_FOUND */
  abort(ref: string): Promise<void>;
}

interface Metadata extends Versioned {
  createdAt: string;
  updatedAt: string;
  labels: Labels;
}

const VERSION = 1;
const CHUNK = 256 * 1024;

/**
 * Opens the content store in `dir`, making it where there is none. Blobs lie in `blobs/sha256/HEX` as in an OCI layout,
 * labels beside them in `metadata/sha256/HEX.json`, unfinished writing in `ingest/`. One process at a time.
 */
export async function openContentStore(dir: string): Promise<ContentStore> {
  const blobs = join(dir, 'blobs', 'sha256');
  const metadata = join(dir, 'metadata', 'sha256');
  for (const path of [blobs, metadata]) await mkdir(path, { recursive: true });
  const serially = serializer();
  const blobPath = (digest: Digest): string => join(blobs, digestHex(digest));
  const metadataPath = (digest: Digest): string => join(metadata, `${digestHex(digest)}.json`);

  async function info(text: string): Promise<ContentInfo> {
    const digest = parseDigest(text);
    const file = await stat(blobPath(digest)).catch((error: unknown) => {
      throw isErrno(error, 'ENOENT') ? notFound(`content ${digest}`) : error;
    });
    const known = await readState<Metadata>(metadataPath(digest), VERSION);
    const createdAt = new Date(known?.createdAt ?? file.mtime);
    const updatedAt = new Date(known?.updatedAt ?? file.mtime);
    return { digest, size: file.size, createdAt, updatedAt, labels: known?.labels ?? {} };
  }

  async function writeMetadata(digest: Digest, createdAt: Date, labels: Labels): Promise<void> {
    const state: Metadata = {
      version: VERSION,
      createdAt: createdAt.toISOString(),
      updatedAt: new Date().toISOString(),
      labels,
    };
    await writeState(metadataPath(digest), state);
  }

  async function* read(text: string, range: { offset?: number; size?: number } = {}): AsyncGenerator<Buffer> {
    const { digest, size } = await info(text);
    const from = Math.min(range.offset ?? 0, size);
    const to = Math.min(from + (range.size || size), size);
    const whole = from === 0 && to === size;
    const hash = createHash('sha256');
    const file = await open(blobPath(digest), 'r');
    try {
      for (let at = from; at < to;) {
        const { bytesRead, buffer } = await file.read(Buffer.alloc(Math.min(CHUNK, to - at)), {
          position: at,
        });
        if (bytesRead === 0) throw dataLoss(`content ${digest} ends after ${at} of ${size} bytes`);
        const chunk = buffer.subarray(0, bytesRead);
        if (whole) hash.update(chunk);
        at += bytesRead;
        yield chunk;
      }
    } finally {
      await file.close();
    }
    const actual = `sha256:${hash.digest('hex')}`;
    if (whole && actual !== digest)
      throw dataLoss(`content ${digest} is damaged: its bytes have the digest ${actual}`);
  }

  const ingests = await openIngests(join(dir, 'ingest'), {
    exists: (digest) =>
      info(digest).then(
        () => true,
        (error: unknown) => {
          if (isStoreError(error, 'NOT_FOUND')) return false;
          throw error;
        },
      ),
    // Labels before the blob: a crash between the two leaves labels of nothing, which nobody sees.
    place: async (digest, labels) => {
      await writeMetadata(digest, new Date(), labels);
      return blobPath(digest);
    },
  });

  return {
    info,
    read,
    async readAll(digest) {
      const chunks: Buffer[] = [];
      for await (const chunk of read(digest)) chunks.push(chunk);
      return Buffer.concat(chunks);
    },
    async list() {
      const names = (await readdir(blobs)).filter((name) => /^[0-9a-f]{64}$/.test(name));
      const infos = names.map((name) =>
        info(`sha256:${name}`).catch((error: unknown) => {
          if (isStoreError(error, 'NOT_FOUND')) return undefined; // deleted meanwhile
          throw error;
        }),
      );
      return (await Promise.all(infos)).filter((known) => known !== undefined);
    },
    update: (digest, labels, fieldpaths) =>
      serially(async () => {
        const old = await info(digest);
        await writeMetadata(old.digest, old.createdAt, updatedLabels(old.labels, labels, fieldpaths));
        return info(digest);
      }),
    delete: (digest) =>
      serially(async () => {
        const { digest: known } = await info(digest);
        await rm(blobPath(known));
        await rm(metadataPath(known), { force: true });
      }),
    writer: (ref, options) => ingests.open(ref, options),
    status: (ref) => ingests.status(ref),
    statuses: () => ingests.statuses(),
    abort: (ref) => ingests.abort(ref),
  };
}

/**
 * Puts bytes into the store and tells their digest and size. Bytes that are there already are no error: then `added` is false.
 * @throws StoreError FAILED_PRECONDITION when they are not what `expected` or `size` announce
 */
export async function writeBlob(
  store: ContentStore,
  data: Uint8Array | AsyncIterable<Uint8Array>,
  options: { ref?: string; expected?: Digest; size?: number; labels?: Labels } = {},
): Promise<{ digest: Digest; size: number; added: boolean }> {
  const ref = options.ref ?? `blob-${process.pid}-${process.hrtime.bigint()}`;
  const writer = await store.writer(ref);
  try {
    await writer.truncate(0);
    if (data instanceof Uint8Array) await writer.write(data);
    else for await (const piece of gathered(data)) await writer.write(piece);
    const size = writer.status().offset;
    const digest = writer.digest();
    try {
      await writer.commit(options);
      return { digest, size, added: true };
    } catch (error) {
      if (!isStoreError(error, 'ALREADY_EXISTS')) throw error;
      return { digest, size, added: false };
    }
  } catch (error) {
    await writer.close();
    await store.abort(ref).catch(() => undefined); // it may be gone: the first error is the one to tell
    throw error;
  }
}
