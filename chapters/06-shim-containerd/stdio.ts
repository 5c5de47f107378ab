import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { pipe } from '../01-processes/index.ts';
import { resizeTerminal } from './console-socket.ts';
import { openJournal, type JournalStream, type JournalWriter } from './journal.ts';
import type { ProcessStdio } from './oci-runtime.ts';
import { parsePlace, type StdioPlace } from './stdio-place.ts';
import { directSink, fifoSink, patientWriter, readFrom, type Sink, type Source } from './stdio-pump.ts';

/** What Create and Exec say of a process's stdio; each place as in stdio-place.ts. */
export interface StdioRequest {
  terminal: boolean;
  stdin: string;
  stdout: string;
  /** unused with a terminal, which has one output */
  stderr: string;
}

/** The stdio of one process, held open while there is something to read or write, whoever else comes and goes. */
export interface Stdio {
  /** For the runtime, which hands them on to the container. With a terminal: nothing. */
  readonly child: ProcessStdio;
  /** The container has them: our copies are closed, or no reader would ever see the end. */
  handedOver(): void;
  /** With a terminal: copies between its master and the rest, from here on. */
  attachConsole(master: number): void;
  resize(size: { width: number; height: number }): void;
  /** No more input will come, but from a client that still holds the fifo. */
  closeStdin(): void;
  /** To be called when the process has ended: what it wrote goes where it belongs, and the end after it. */
  drain(): void;
  /** Releases everything. What a fifo's reader has not taken yet is given two seconds. */
  close(): Promise<void>;
}

/**
 * Opens the stdio of a process that is about to be made.
 *
 * Without a terminal, fifos and files go straight to the container: the shim is not on the way of its data. A journal is fed by the
 * shim, through a pipe. With a terminal, the shim copies between its master and the rest.
 * @throws TtrpcError INVALID_ARGUMENT for a place that is none; Error of fs.openSync. Nothing stays open then.
 */
export function openStdio(request: StdioRequest, log: (text: string) => void): Stdio {
  const stdin = parsePlace(request.stdin);
  const stdout = parsePlace(request.stdout);
  const stderr = parsePlace(request.terminal ? '' : request.stderr);
  const held = holder();
  try {
    const journals = openJournals([stdout, stderr], held, log);
    return request.terminal
      ? terminalStdio(stdin, stdout, journals, held)
      : plainStdio(stdin, [stdout, stderr], journals, held);
  } catch (error) {
    held.closeAll();
    throw error;
  }
}

function plainStdio(stdin: StdioPlace, outputs: StdioPlace[], journals: Journals, held: Holder): Stdio {
  const begin: (() => Source)[] = [];
  const sources: Source[] = [];
  const forChild: number[] = [];
  const child = (fd: number): number => {
    forChild.push(fd);
    return held.add(fd);
  };
  const input = stdin.kind === 'none' ? undefined : openInput(stdin.path, held);
  if (input) forChild.push(input.read);

  const output = (place: StdioPlace, stream: JournalStream): number | 'ignore' => {
    //#gap 06.3 output
    if (place.kind === 'none') return 'ignore';
    if (place.kind === 'file') return child(openSync(place.path, 'a', 0o640));
    if (place.kind === 'fifo') {
      // Our own reading end: the process may write when every reader is gone, and what it wrote waits for the next one.
      held.add(openSync(place.path, constants.O_RDONLY | constants.O_NONBLOCK));
      return child(openSync(place.path, constants.O_WRONLY));
    }
    const { read, write } = pipe();
    const journal = journals.get(place.path)!;
    held.add(read);
    // Not before the container has begun: what a runtime that failed wrote is no output of the container.
    begin.push(() => {
      held.release(read);
      return readFrom(
        read,
        'pipe',
        (data) => journal.write(stream, data),
        () => journal.end(stream),
      );
    });
    return child(write);
    //#end
  };

  return {
    child: [input?.read ?? 'ignore', output(outputs[0]!, 1), output(outputs[1]!, 2)],
    handedOver: () => {
      forChild.splice(0).forEach(held.close);
      for (const beginReading of begin.splice(0)) sources.push(beginReading());
    },
    attachConsole: () => undefined,
    resize: () => undefined,
    closeStdin: () => input && held.close(input.keeper),
    drain: () => sources.forEach((source) => source.drain()),
    close: async () => {
      sources.forEach((source) => source.close());
      held.closeAll();
    },
  };
}

function terminalStdio(stdin: StdioPlace, stdout: StdioPlace, journals: Journals, held: Holder): Stdio {
  const sink = openSink(stdout, journals, held);
  const input = stdin.kind === 'none' ? undefined : openInput(stdin.path, held);
  const closers: (() => void)[] = [];
  let source: Source | undefined;
  let terminal: number | undefined;

  return {
    child: ['ignore', 'ignore', 'ignore'],
    handedOver: () => undefined,
    attachConsole: (master) => {
      terminal = master;
      const output = (source = readFrom(
        master,
        'terminal',
        (data) => {
          if (!sink.write(data)) output.pause();
        },
        () => {
          terminal = undefined;
          sink.end();
        },
      ));
      closers.push(output.close);
      sink.onReady(output.resume);
      if (!input) return;
      held.release(input.read);
      const writer = patientWriter(master, () => keyboard.resume());
      const keyboard = readFrom(
        input.read,
        'pipe',
        (data) => {
          if (terminal !== undefined && !writer.write(data)) keyboard.pause();
        },
        () => undefined,
      );
      closers.push(writer.close, keyboard.close);
    },
    resize: (size) => {
      if (terminal !== undefined) resizeTerminal(terminal, size);
    },
    closeStdin: () => input && held.close(input.keeper),
    drain: () => source?.drain(),
    close: async () => {
      closers.forEach((close) => close());
      await sink.close(2000);
      held.closeAll();
    },
  };
}

/**
 * Opens a fifo to be read, with a writing end of our own: its end comes when both the client has closed it and `keeper` is closed
 * (CloseIO), not when a daemon dies.
 */
function openInput(path: string, held: Holder): { read: number; keeper: number } {
  // Both ends at once, so that neither of the next two calls waits for the other.
  const both = openSync(path, constants.O_RDWR);
  try {
    return {
      read: held.add(openSync(path, constants.O_RDONLY)),
      keeper: held.add(openSync(path, constants.O_WRONLY)),
    };
  } finally {
    closeSync(both);
  }
}

function openSink(place: StdioPlace, journals: Journals, held: Holder): Sink {
  if (place.kind === 'fifo') return fifoSink(place.path);
  if (place.kind === 'file') {
    const fd = held.add(openSync(place.path, 'a', 0o640));
    return directSink(
      (data) => void writeSync(fd, data),
      () => held.close(fd),
    );
  }
  const journal = place.kind === 'journal' ? journals.get(place.path) : undefined;
  return directSink(
    (data) => journal?.write(1, data),
    () => journal?.end(1),
  );
}

type Journals = Map<string, JournalWriter>;

/** One writer a file, also for two streams. What cannot be written (the disk is full) is lost, and said once. */
function openJournals(places: StdioPlace[], held: Holder, log: (text: string) => void): Journals {
  const journals: Journals = new Map();
  for (const place of places) {
    if (place.kind !== 'journal' || journals.has(place.path)) continue;
    const journal = openJournal(place.path);
    held.onClose(journal.close);
    let failed = false;
    const attempt = (append: () => void): void => {
      try {
        append();
        failed = false;
      } catch (error) {
        if (!failed) log(`output is lost: ${(error as Error).message}`);
        failed = true;
      }
    };
    journals.set(place.path, {
      write: (stream, data) => attempt(() => journal.write(stream, data)),
      end: (stream) => attempt(() => journal.end(stream)),
      close: journal.close,
    });
  }
  return journals;
}

/** Descriptors to be closed once, each by itself or all together. */
interface Holder {
  add(fd: number): number;
  close(fd: number): void;
  /** Someone else closes it. */
  release(fd: number): void;
  onClose(close: () => void): void;
  closeAll(): void;
}

function holder(): Holder {
  const open = new Set<number>();
  const others: (() => void)[] = [];
  const close = (fd: number): void => {
    if (open.delete(fd)) closeSync(fd);
  };
  return {
    add: (fd) => (open.add(fd), fd),
    close,
    release: (fd) => void open.delete(fd),
    onClose: (fn) => void others.push(fn),
    closeAll: () => {
      [...open].forEach(close);
      others.splice(0).forEach((fn) => fn());
    },
  };
}
