/** Downloads under way, so that two who want the same bytes fetch them once. */
export interface Downloads {
  /**
   * Joins the download of `key`, or begins it with `start`. It goes on as long as anyone waits for it.
   * @param onBytes told how far it is, whoever began it
   * @throws what `start` throws; the reason of `signal`
   */
  share(
    key: string,
    start: (onBytes: (offset: number) => void, signal: AbortSignal) => Promise<void>,
    onBytes: (offset: number) => void,
    signal?: AbortSignal,
  ): Promise<void>;
}

interface Download {
  done: Promise<void>;
  listeners: Set<(offset: number) => void>;
  controller: AbortController;
}

export function openDownloads(): Downloads {
  const running = new Map<string, Download>();

  function begin(key: string, start: Parameters<Downloads['share']>[1]): Download {
    const listeners = new Set<(offset: number) => void>();
    const controller = new AbortController();
    const done = start((offset) => listeners.forEach((tell) => tell(offset)), controller.signal).finally(
      () => {
        if (running.get(key)?.controller === controller) running.delete(key);
      },
    );
    done.catch(() => undefined); // whoever waits hears of it; nobody may be left
    const download = { done, listeners, controller };
    running.set(key, download);
    return download;
  }

  const share: Downloads['share'] = async (key, start, onBytes, signal) => {
    signal?.throwIfAborted();
    const joined = running.get(key);
    const download = joined ?? begin(key, start);
    // A function of this caller's own: two callers may give the same one.
    const listener = (offset: number): void => onBytes(offset);
    download.listeners.add(listener);
    let onAbort: (() => void) | undefined;
    const aborted = new Promise<never>((_, reject) => {
      onAbort = () => reject(signal!.reason as Error);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
    try {
      await Promise.race([download.done, aborted]);
    } catch (error) {
      // What ended another's download (his login, his end) need not end ours, which goes on where that one stopped.
      if (!joined || signal?.aborted) throw error;
      return await share(key, start, onBytes, signal);
    } finally {
      signal?.removeEventListener('abort', onAbort!);
      download.listeners.delete(listener);
      if (download.listeners.size === 0) {
        download.controller.abort(new Error('nobody waits for it any more'));
        if (running.get(key) === download) running.delete(key);
      }
    }
  };
  return { share };
}

/** Does `work` for each item, at most `width` at a time. After a failure nothing new is begun; the first error is thrown when all have ended. */
export async function inParallel<T>(
  items: readonly T[],
  width: number,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  const failures: unknown[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length && failures.length === 0) {
      const index = next++;
      await work(items[index]!, index).catch((error: unknown) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
  if (failures.length > 0) throw failures[0];
}
