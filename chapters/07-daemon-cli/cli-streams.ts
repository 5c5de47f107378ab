import type { Readable, Writable } from 'node:stream';
import type { Socket } from 'node:net';
import type { ReadStream } from 'node:tty';
import type { ApiClient } from './api-client.ts';
import { demultiplex } from './cli-demultiplex.ts';
import { DEFAULT_DETACH_KEYS, detachFilter, parseDetachKeys, rawMode, windowSize } from './terminal.ts';

/** What of a container is joined to what of this process. */
export interface Attachment {
  /** The container has a terminal: its output is one stream, as it is; without one the two outputs come framed. */
  tty: boolean;
  stdin?: (Readable & Partial<Pick<ReadStream, 'isTTY'>>) | undefined;
  stdout?: Writable | undefined;
  stderr?: Writable | undefined;
  /** Bytes that end the attachment, and leave the container alone; looked for only in what a terminal sends. */
  detachKeys?: readonly number[];
}

/**
 * Carries bytes both ways over a hijacked connection until the container's output has ended (`ended`) or the detach keys were
 * typed (`detached`). The end of stdin closes only that half of the connection: output goes on. A terminal is raw meanwhile, and as it was afterwards.
 * @throws Error when the connection breaks inside a frame
 */
export async function carry(connection: Socket, attachment: Attachment): Promise<'ended' | 'detached'> {
  const { stdin, tty } = attachment;
  const restore = tty && stdin?.isTTY ? rawMode(stdin as ReadStream) : undefined;
  // A container that ends while something is written to it resets the connection; what counts is that its output ended.
  connection.on('error', () => {});
  let stopInput = (): void => {};
  try {
    const detached = new Promise<'detached'>((resolve) => {
      if (stdin) stopInput = sendInput(stdin, connection, attachment, () => resolve('detached'));
    });
    const ended = receiveOutput(quietly(connection), attachment).then(() => 'ended' as const);
    // With nothing to read back the end of what is sent is the end.
    const sent = new Promise<'ended'>((resolve) => {
      if (!attachment.stdout && !attachment.stderr) connection.once('finish', () => resolve('ended'));
    });
    return await Promise.race([ended, detached, sent]);
  } finally {
    stopInput();
    restore?.();
    connection.destroy();
  }
}

/** Writes everything that comes to where it belongs, no faster than it is taken there. */
export async function receiveOutput(
  source: AsyncIterable<Buffer>,
  { tty, stdout, stderr }: Pick<Attachment, 'tty' | 'stdout' | 'stderr'>,
): Promise<void> {
  if (tty) for await (const data of source) await write(stdout, data);
  else
    for await (const { stream, data } of demultiplex(source))
      await write(stream === 'stdout' ? stdout : stderr, data);
}

/** A hijacked connection that is reset has ended too: a container that ends while something is written to it. */
async function* quietly(source: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  try {
    yield* source;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ECONNRESET' && code !== 'EPIPE') throw error;
  }
}

async function write(to: Writable | undefined, data: Buffer): Promise<void> {
  if (to && !to.write(data)) await new Promise((resolve) => to.once('drain', resolve));
}

//#region sendInput
/** Sends what is typed, or read, until it ends; then closes that half of the connection. Returns what stops it. */
function sendInput(
  stdin: Readable,
  connection: Socket,
  { tty, detachKeys = [] }: Attachment,
  onDetach: () => void,
): () => void {
  const filter = detachFilter(tty ? detachKeys : []);
  const onData = (typed: Buffer): void => {
    const { send, detached } = filter(typed);
    if (send.length && !connection.write(send)) {
      stdin.pause();
      connection.once('drain', () => stdin.resume());
    }
    if (detached) onDetach();
  };
  // shutdown(SHUT_WR): the container reads end of file, and what it still says comes back on the other half.
  const onEnd = (): void => void connection.end();
  stdin.on('data', onData).on('end', onEnd).on('error', onEnd);
  return () => {
    stdin.off('data', onData).off('end', onEnd).off('error', onEnd);
    stdin.pause();
  };
}
//#endregion

/** The detach keys in force: those given, or Docker's. */
export const detachKeysOf = (given: string | undefined): number[] =>
  parseDetachKeys(given ?? DEFAULT_DETACH_KEYS);

const RESIZE_TRIES = 10;

//#region followSize
/**
 * Makes a container's terminal as large as this one, now and each time that this one changes (SIGWINCH). Returns what stops it.
 * @param path the container or exec: `/containers/ID`, `/exec/ID`
 * @param redraw a program runs there already: make it paint its screen, by a size that is wrong for a moment
 */
export function followSize(api: ApiClient, path: string, redraw = false): () => void {
  const resize = async (by = 0): Promise<void> => {
    const size = windowSize(process.stdout);
    if (size) await api.json('POST', `${path}/resize`, { query: { h: size.rows + by, w: size.cols + by } });
  };
  const onChange = (): void => void resize().catch(() => {});
  process.stdout.on('resize', onChange);
  void (async () => {
    // The container's terminal may not be there yet.
    for (let i = 0; i < RESIZE_TRIES; i += 1) {
      try {
        if (redraw) await resize(1);
        return await resize();
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 10 * (i + 1)));
      }
    }
  })();
  return () => void process.stdout.off('resize', onChange);
}
//#endregion
