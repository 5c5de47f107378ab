import type { Socket } from 'node:net';
import { once } from 'node:events';
import type { JournalRecord } from '../06-shim-containerd/index.ts';
import { isRunning, type ContainerRecord } from './container.ts';
import type { Daemon } from './daemon.ts';
import { followRun, journalEnd, journalSize } from './follow.ts';
import { feedStdin } from './stdin.ts';
import { frame } from './stdcopy.ts';

export interface AttachOptions {
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
  /** What was written before, too. */
  logs: boolean;
}

/**
 * Joins a client's connection to a container: what the container writes goes out, framed unless it has a terminal; what comes in is
 * its standard input. Ends when the run does. The output is read from the journal, so that nobody who is slow, or leaves, holds the
 * container up.
 */
export async function attach(
  daemon: Daemon,
  record: ContainerRecord,
  client: Socket,
  { stdin, stdout, stderr, logs }: AttachOptions,
): Promise<void> {
  const run = daemon.runs.of(record);
  const journal = daemon.containers.journal(record.id);
  const gone = new AbortController();
  client.once('close', () => gone.abort());
  const over = run.nextEnd();
  const from = logs
    ? 0
    : isRunning(record)
      ? await journalEnd(journal, record.state.journalStart)
      : journalSize(journal);
  if (stdin && record.config.OpenStdin) feedStdin(daemon, record, client);
  else client.resume();

  const wanted = ({ stream, data }: JournalRecord): boolean =>
    data.length > 0 && (stream === 1 ? stdout : stderr);
  const reader = (async () => {
    for await (const piece of followRun(journal, { from, over, signal: gone.signal })) {
      if (!wanted(piece)) continue;
      await send(client, record.config.Tty ? piece.data : frame(piece.stream, piece.data));
    }
  })();
  try {
    await run.attach(reader);
  } finally {
    client.destroySoon();
  }
}

/** Writes, and waits where the client does not keep up; one that is gone is nobody to wait for. */
export async function send(client: Socket, data: Uint8Array): Promise<void> {
  if (client.destroyed || client.write(data)) return;
  const stop = new AbortController();
  try {
    await Promise.race([
      once(client, 'drain', { signal: stop.signal }),
      once(client, 'close', { signal: stop.signal }),
    ]);
  } catch {
    // An error of the connection: 'close' follows, and ends the reading.
  } finally {
    stop.abort();
  }
}
