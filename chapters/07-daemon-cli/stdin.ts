import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Socket } from 'node:net';
import { isRunning, type ContainerRecord } from './container.ts';
import type { Daemon } from './daemon.ts';
import { makeFifo, writeFifo } from './fifo.ts';
import { explain, log } from './log.ts';

/** Where what a container has at run time is. */
export const runDirectory = ({ options }: Pick<Daemon, 'options'>, id: string): string =>
  join(options.execRoot, 'containers', id);

/** The container's standard input: a fifo that is there from the first attach or the start on, until the end of the run. */
export function ensureStdin(daemon: Daemon, id: string): string {
  const path = join(runDirectory(daemon, id), 'stdin');
  if (existsSync(path)) return path;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  makeFifo(path);
  return path;
}

/** Takes the fifo away, and lets go of those who write into it. */
export function removeStdin(daemon: Daemon, record: ContainerRecord): void {
  const { stdin } = daemon.runs.of(record);
  for (const writer of stdin) writer.destroy();
  stdin.clear();
  rmSync(runDirectory(daemon, record.id), { recursive: true, force: true });
}

/**
 * Passes what a client sends on to the container. When the client has said all (it closes its half of the connection), the container's
 * standard input ends too, if it was made for one client alone (`docker run -i`).
 */
export function feedStdin(daemon: Daemon, record: ContainerRecord, client: Socket): void {
  const run = daemon.runs.of(record);
  const started = isRunning(record) ? Promise.resolve() : run.nextStart();
  const writer = writeFifo(ensureStdin(daemon, record.id));
  run.stdin.add(writer);
  writer.on('close', () => run.stdin.delete(writer));
  forward(client, writer, async () => {
    // Until the shim has opened the other end, what is in the fifo lives by our keeping it open.
    await started;
    // A terminal has no end of file but Ctrl-D: whoever leaves it with the detach keys comes back and types on.
    if (record.config.StdinOnce && !record.config.Tty)
      await daemon.containerd.tasks
        .closeIO({ containerId: record.id, stdin: true })
        .catch((error: unknown) => log('debug', `closing stdin of ${record.id}: ${explain(error)}`));
  });
}

/** Copies with back pressure; at the client's end calls `atEnd`, when all is written, and then closes the writer. */
export function forward(client: Socket, writer: Socket, atEnd: () => Promise<void>): void {
  let last: Promise<void> = Promise.resolve();
  const finish = (): void => {
    void last.then(atEnd).finally(() => writer.destroy());
  };
  client.on('data', (data: Buffer) => {
    last = new Promise((resolve) => writer.write(data, () => resolve()));
    if (writer.writableNeedDrain) client.pause();
  });
  client.resume();
  writer.on('drain', () => client.resume());
  writer.on('error', () => writer.destroy());
  writer.on('close', () => client.resume());
  client.once('end', finish);
  // Without an end there is no more to come either, but nobody has said that this was all.
  client.once('close', () => void last.then(() => writer.destroy()));
}
