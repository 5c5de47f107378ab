import { statSync } from 'node:fs';
import { isErrno } from '../01-processes/index.ts';
import { readJournal, type JournalRecord } from '../06-shim-containerd/index.ts';

/**
 * A journal's records from `from` on, those to come included, until the run is over and the last one told, or `signal` is aborted.
 * @param over resolves when nothing more will be written: the container has been put in order after its end
 */
export async function* followRun(
  journal: string,
  { from, over, signal }: { from: number; over: Promise<unknown>; signal: AbortSignal },
): AsyncGenerator<JournalRecord, void, undefined> {
  const stop = new AbortController();
  void over.then(() => stop.abort());
  let next = from;
  for await (const record of readJournal(journal, {
    from,
    follow: true,
    signal: AbortSignal.any([signal, stop.signal]),
  })) {
    yield record;
    next = record.next;
  }
  if (signal.aborted) return;
  yield* readJournal(journal, { from: next });
}

/** Where the next record will begin. While the container runs its size may be in the middle of one: then the records are counted. */
export async function journalEnd(journal: string, from: number): Promise<number> {
  let end = from;
  for await (const { next } of readJournal(journal, { from })) end = next;
  return end;
}

/** The journal's size; 0 when there is none yet. Bytes. */
export function journalSize(journal: string): number {
  try {
    return statSync(journal).size;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 0;
    throw error;
  }
}
