import { isErrno } from '../01-processes/index.ts';
import type { ContentStore } from './content-store.ts';
import type { ContentWriter } from './content-writer.ts';
import { dataLoss, isStoreError, quoted } from './errors.ts';
import type { Descriptor } from './image.ts';
import type { Labels } from './labels.ts';
import { gathered } from './pieces.ts';
import { refused } from './registry-answer.ts';
import { RegistryError, Unreachable } from './registry-error.ts';
import type { HttpAnswer } from './registry-http.ts';
import type { Repository } from './registry.ts';
import { retry } from './retry.ts';

interface FetchOptions {
  labels?: Labels;
  onBytes?: (offset: number) => void;
  /** Ends the waiting for another who writes the same; that of the repository ends what is sent. */
  signal?: AbortSignal | undefined;
}

/**
 * Brings one blob from a registry into the store, straight to the disk. A connection that breaks is taken up where it broke, also by the
 * next process: what has arrived stays in the store's ingest. Says whether anything had to be fetched.
 * @throws RegistryError, Unreachable (what has arrived stays); StoreError DATA_LOSS when it is not what was announced, or an error of the
 * full disk (nothing stays)
 */
export async function fetchBlob(
  repository: Repository,
  content: ContentStore,
  { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
  { labels = {}, onBytes, signal }: FetchOptions = {},
): Promise<boolean> {
  const ref = `blob-${digest}`;
  let writer: ContentWriter;
  try {
    // Another process may be fetching the same: then wait for it.
    const isPassing = (error: unknown): boolean => isStoreError(error, 'UNAVAILABLE');
    const open = (): Promise<ContentWriter> => content.writer(ref, { expected: digest, total: size });
    writer = await retry(open, { tries: 12, pause: 100, isPassing, signal });
  } catch (error) {
    if (isStoreError(error, 'ALREADY_EXISTS')) return false;
    throw error;
  }
  try {
    // Who begins anew each time, and breaks off each time, has not got further.
    let furthest = 0;
    await repository.retry((progressed) =>
      receive(repository, writer, {
        what: `blob ${digest} of ${repository.name}`,
        digest,
        size,
        onBytes,
        progressed: () => {
          const { offset } = writer.status();
          if (offset > furthest) progressed();
          furthest = Math.max(furthest, offset);
        },
      }),
    );
    await commit(writer, { digest, size, labels });
    return true;
  } catch (error) {
    await writer.close();
    // Bytes that are wrong are no beginning of the right ones, nor are none; and a disk that is full needs the room.
    const isUseless = isStoreError(error, 'DATA_LOSS') || isErrno(error, 'ENOSPC', 'EDQUOT');
    if (isUseless || writer.status().offset === 0) await content.abort(ref).catch(() => undefined);
    throw error;
  }
}

interface Receiving {
  /** What messages call it. */
  what: string;
  digest: string;
  size: number;
  progressed: () => void;
  onBytes: ((offset: number) => void) | undefined;
}

/** One connection's worth, from where the writer stands. */
async function receive(
  { send, path }: Repository,
  writer: ContentWriter,
  { what, digest, size, progressed, onBytes }: Receiving,
): Promise<void> {
  //#gap 04.7 receive
  let { offset } = writer.status();
  if (offset > size) {
    await writer.truncate(0);
    offset = 0;
  }
  if (offset === size && size > 0) return;
  const headers = offset > 0 ? { Range: `bytes=${offset}-` } : {};
  const answer = await send(`/v2/${path}/blobs/${digest}`, { method: 'GET', headers }, true);
  try {
    const begins = await beginningOf(answer, { what, offset, size });
    // A server that knows no ranges begins anew, and so do we.
    if (begins !== offset) await writer.truncate(0);
    if (begins === undefined) throw new Unreachable(what, new Error(`nothing that begins at byte ${offset}`));
    offset = begins;
    for await (const piece of inPieces(answer.body, what)) {
      if (offset + piece.length > size) throw dataLoss(`${what} is larger than the ${size} bytes announced`);
      await writer.write(piece);
      offset += piece.length;
      progressed();
      onBytes?.(offset);
    }
  } finally {
    answer.body.destroy();
  }
  if (offset < size) throw new Unreachable(what, new Error(`${offset} of ${size} bytes came`));
  //#end
}

/**
 * Where in the blob the body of an answer begins: at `offset`, as it was asked to, or at 0; `undefined` when it goes on neither way.
 * @throws RegistryError for a refusal; StoreError DATA_LOSS when it says itself that the blob has another size
 */
async function beginningOf(
  answer: HttpAnswer,
  { what, offset, size }: Pick<Receiving, 'what' | 'size'> & { offset: number },
): Promise<number | undefined> {
  const { status, headers } = answer;
  // "Range Not Satisfiable": what has arrived is no beginning of what the registry has.
  if (status === 416 && offset > 0) return undefined;
  if (status !== 200 && status !== 206) throw await refused(answer, what);
  const range = headers['content-range'] ?? '';
  const [, from, total] = status === 200 ? ['', '0', headers['content-length']] : (RANGE.exec(range) ?? []);
  if (/^\d+$/.test(total ?? '') && Number(total) !== size)
    throw dataLoss(
      `${what} is ${Number(total) > size ? 'larger' : 'smaller'} than the ${size} bytes announced: ${total}`,
    );
  const begins = Number(from);
  if (begins === 0 || begins === offset) return begins;
  if (offset > 0) return undefined;
  throw new RegistryError(status, `${what}: asked for all of it, got the part ${quoted(range)}`);
}

/** `bytes 5-9/10`; of an unknown size: `bytes 5-9/*`. RFC 9110, section 14.4. */
const RANGE = /^bytes (\d+)-\d+\/(\d+|\*)$/;

/** The body of an answer in larger pieces. @throws Unreachable when it breaks off, after what has come */
async function* inPieces(body: AsyncIterable<Buffer>, what: string): AsyncGenerator<Buffer> {
  try {
    yield* gathered(body);
  } catch (error) {
    throw new Unreachable(`${what}: the connection broke off`, error);
  }
}

async function commit(
  writer: ContentWriter,
  { digest, size, labels }: { digest: string; size: number; labels: Labels },
): Promise<void> {
  try {
    await writer.commit({ size, expected: digest, labels });
  } catch (error) {
    if (isStoreError(error, 'ALREADY_EXISTS')) return; // somebody else was faster
    if (isStoreError(error, 'FAILED_PRECONDITION'))
      throw dataLoss(`filesystem layer verification failed for digest ${digest}`, error);
    throw error;
  }
}
