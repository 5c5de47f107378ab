import { closeSync, fstatSync, ftruncateSync, openSync, readSync, watch, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { isErrno } from '../01-processes/index.ts';

/** 1: standard output (and all that a terminal shows), 2: standard error. */
export type JournalStream = 1 | 2;

/** Something that a container's process wrote, or (no data) the end of a stream of one run. */
export interface JournalRecord {
  /** byte where the record begins in the file */
  offset: number;
  /** byte where the next one begins: read on from here */
  next: number;
  /** nanoseconds since 1970 */
  time: bigint;
  stream: JournalStream;
  /** empty: the stream has ended */
  data: Buffer;
}

/** time u64 big endian, then Docker's stream header: stream u8, three zeros, length u32 big endian */
const HEADER_BYTES = 16;
/** The most that one record holds; longer output becomes several. */
const MAX_DATA = 1 << 20;

export interface JournalWriter {
  /** Appends what a stream brought. Data of length 0 would say that it ended: use `end`. */
  write(stream: JournalStream, data: Uint8Array): void;
  /** Says that a stream of this run has ended. */
  end(stream: JournalStream): void;
  close(): void;
}

/**
 * Opens a container's journal for appending; the file is made if there is none. One write(2) a record: whoever reads at the same
 * time sees whole records, or, when the disk was full or the machine went down, one torn record at the end. Opening cuts that
 * off, and so does a write that fails.
 * @throws Error of fs.openSync; `write` and `end` that of fs.writeSync (ENOSPC …)
 */
export function openJournal(path: string): JournalWriter {
  const fd = openSync(path, 'a+', 0o640);
  let size = endOfWholeRecords(fd);
  if (fstatSync(fd).size > size) ftruncateSync(fd, size);
  let last = 0n;

  //#region append
  const append = (stream: JournalStream, data: Uint8Array): void => {
    // The clock may stand still or step back; a journal's times do not.
    const now = nanoseconds();
    last = now > last ? now : last + 1n;
    const record = Buffer.alloc(HEADER_BYTES + data.length);
    record.writeBigUInt64BE(last, 0);
    record.writeUInt8(stream, 8);
    record.writeUInt32BE(data.length, 12);
    record.set(data, HEADER_BYTES);
    const written = writeSync(fd, record);
    if (written !== record.length) {
      ftruncateSync(fd, size);
      throw new Error(`${path}: no room: ${written} of ${record.length} bytes could be written`);
    }
    size += written;
  };
  //#endregion

  return {
    write: (stream, data) => {
      for (let at = 0; at < data.length; at += MAX_DATA) append(stream, data.subarray(at, at + MAX_DATA));
    },
    end: (stream) => append(stream, new Uint8Array(0)),
    close: () => closeSync(fd),
  };
}

/** Where the last whole record ends. */
function endOfWholeRecords(fd: number): number {
  const { size } = fstatSync(fd);
  const header = Buffer.alloc(HEADER_BYTES);
  for (let end = 0; ;) {
    if (readSync(fd, header, 0, HEADER_BYTES, end) < HEADER_BYTES) return end;
    const next = end + HEADER_BYTES + header.readUInt32BE(12);
    if (next > size) return end;
    end = next;
  }
}

const nanoseconds = (): bigint =>
  BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;

export interface ReadJournalOptions {
  /** byte to begin at: 0, or the `next` of a record read before */
  from?: number;
  /** at the end wait for more, until `signal` is aborted */
  follow?: boolean;
  signal?: AbortSignal;
}

/**
 * The records of a journal, in the order in which they were written. A file that does not exist yet is an empty one; a torn record at the
 * end counts when it has become whole. Aborting ends the reading without an error.
 */
export async function* readJournal(
  path: string,
  { from = 0, follow = false, signal }: ReadJournalOptions = {},
): AsyncGenerator<JournalRecord, void, undefined> {
  const changes = follow ? watchFile(path, signal) : undefined;
  try {
    for (let offset = from; !signal?.aborted;) {
      for await (const record of recordsFrom(path, offset)) {
        if (signal?.aborted) return;
        yield record;
        offset = record.next;
      }
      if (!changes) return;
      await changes.next();
    }
  } finally {
    changes?.close();
  }
}

async function* recordsFrom(path: string, from: number): AsyncGenerator<JournalRecord, void, undefined> {
  const file = await open(path, 'r').catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  });
  if (!file) return;
  try {
    let rest: Buffer = Buffer.alloc(0);
    for (let offset = from; ;) {
      const { bytesRead, buffer } = await file.read(
        Buffer.allocUnsafe(64 << 10),
        0,
        64 << 10,
        offset + rest.length,
      );
      if (bytesRead === 0) return;
      rest = Buffer.concat([rest, buffer.subarray(0, bytesRead)]);
      while (rest.length >= HEADER_BYTES) {
        const next = HEADER_BYTES + rest.readUInt32BE(12);
        if (rest.length < next) break;
        yield {
          offset,
          next: offset + next,
          time: rest.readBigUInt64BE(0),
          stream: rest.readUInt8(8) as JournalStream,
          data: rest.subarray(HEADER_BYTES, next),
        };
        offset += next;
        rest = rest.subarray(next);
      }
    }
  } finally {
    await file.close();
  }
}

/**
 * Tells when a file may have grown. inotify says so at once where it can; the timer finds what it cannot: a file that does not
 * exist yet, a filesystem without events.
 */
function watchFile(path: string, signal?: AbortSignal): { next(): Promise<void>; close(): void } {
  let changed = false;
  let wake = (): void => undefined;
  const notice = (): void => {
    changed = true;
    wake();
  };
  let watcher: ReturnType<typeof watch> | undefined;
  const tryToWatch = (): void => {
    try {
      watcher ??= watch(path, notice).on('error', () => undefined);
    } catch {
      // not there yet
    }
  };
  tryToWatch();
  const timer = setInterval(() => {
    tryToWatch();
    notice();
  }, 100);
  signal?.addEventListener('abort', notice);
  return {
    next: async () => {
      if (!changed) await new Promise<void>((resolve) => (wake = resolve));
      changed = false;
    },
    close: () => {
      clearInterval(timer);
      watcher?.close();
      signal?.removeEventListener('abort', notice);
    },
  };
}
