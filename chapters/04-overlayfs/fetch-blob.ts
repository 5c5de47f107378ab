import type { ContentStore } from './content-store.ts';
import type { ContentWriter } from './content-writer.ts';
import { dataLoss, isStoreError } from './errors.ts';
import type { Descriptor } from './image.ts';
import type { Labels } from './labels.ts';
import { gathered } from './pieces.ts';
import { refused } from './registry-answer.ts';
import { RegistryError, Unreachable } from './registry-error.ts';
import type { Repository } from './registry.ts';
import { retry } from './retry.ts';

/**
 * Brings one blob from a registry into the store, straight to the disk. A connection that breaks is taken up where it broke, also by the
 * next process: what has arrived stays in the store's ingest. Says whether anything had to be fetched.
 * @throws RegistryError, Unreachable (what has arrived stays); StoreError DATA_LOSS when it is not what was announced (nothing stays)
 */
export async function fetchBlob(
  repository: Repository,
  content: ContentStore,
  { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
  { labels = {}, onBytes }: { labels?: Labels; onBytes?: (offset: number) => void } = {},
): Promise<boolean> {
  const ref = `blob-${digest}`;
  let writer: ContentWriter;
  try {
    // Another process may be fetching the same: then wait for it.
    const isPassing = (error: unknown): boolean => isStoreError(error, 'UNAVAILABLE');
    const open = (): Promise<ContentWriter> => content.writer(ref, { expected: digest, total: size });
    writer = await retry(open, { tries: 12, pause: 100, isPassing });
  } catch (error) {
    if (isStoreError(error, 'ALREADY_EXISTS')) return false;
    throw error;
  }
  try {
    await repository.retry((progressed) =>
      receive(repository, writer, { digest, size, progressed, onBytes }),
    );
    await commit(writer, { digest, size, labels });
    return true;
  } catch (error) {
    await writer.close();
    // Bytes that are wrong are no beginning of the right ones.
    if (isStoreError(error, 'DATA_LOSS')) await content.abort(ref).catch(() => undefined);
    throw error;
  }
}

interface Receiving {
  digest: string;
  size: number;
  progressed: () => void;
  onBytes: ((offset: number) => void) | undefined;
}

/** One connection's worth, from where the writer stands. */
async function receive(
  { send, path }: Repository,
  writer: ContentWriter,
  { digest, size, progressed, onBytes }: Receiving,
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
  if (answer.status !== 200 && answer.status !== 206) throw await refused(answer, `blob ${digest}`);
  // A server that knows no ranges begins anew, and so do we.
  const begins =
    answer.status === 206 ? Number(/^bytes (\d+)-/.exec(answer.headers['content-range'] ?? '')?.[1]) : 0;
  if (begins !== offset) {
    if (begins !== 0)
      throw new RegistryError(answer.status, `blob ${digest}: asked from byte ${offset} on, got ${begins}`);
    await writer.truncate(0);
    offset = 0;
  }
  try {
    for await (const piece of inPieces(answer.body)) {
      if (offset + piece.length > size)
        throw dataLoss(`blob ${digest} is larger than the ${size} bytes announced`);
      await writer.write(piece);
      offset += piece.length;
      progressed();
      onBytes?.(offset);
    }
  } finally {
    answer.body.destroy();
  }
  if (offset < size) throw new Unreachable(`blob ${digest}`, new Error(`${offset} of ${size} bytes came`));
  //#end
}

/** The body of an answer in larger pieces. @throws Unreachable when it breaks off, after what has come */
async function* inPieces(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* gathered(body);
  } catch (error) {
    throw new Unreachable('the connection broke off', error);
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
