import { readJournal } from '../06-shim-containerd/index.ts';
import type { JournalRecord, JournalStream } from '../06-shim-containerd/index.ts';
import { badParameter } from './api-error.ts';
import { rfc3339 } from './container.ts';
import { followRun } from './follow.ts';

/** A line that a container wrote, its newline included (unless there was none). */
export interface LogLine {
  /** nanoseconds since 1970, of its first byte */
  time: bigint;
  stream: JournalStream;
  text: Buffer;
}

export interface LogOptions {
  /** The last so many lines; undefined: all. */
  tail: number | undefined;
  /** nanoseconds since 1970 */
  since: bigint | undefined;
  until: bigint | undefined;
  stdout: boolean;
  stderr: boolean;
  /** Where it is followed: resolves when the run is over. */
  follow: { over: Promise<unknown> } | undefined;
  signal: AbortSignal;
}

/** Longer lines are told in pieces. Bytes. */
const LONGEST_LINE = 16 << 10;

/** Puts records together into lines, each stream for itself. */
export function lineSplitter(): {
  push(record: JournalRecord): LogLine[];
  /** What has no newline yet. */
  rest(): LogLine[];
} {
  const open = new Map<JournalStream, LogLine>();
  return {
    push: ({ stream, time, data }) => {
      const lines: LogLine[] = [];
      if (data.length === 0) {
        // The stream has ended: what is there is a line.
        const line = open.get(stream);
        open.delete(stream);
        return line ? [line] : [];
      }
      for (let at = 0; at < data.length;) {
        const newline = data.indexOf(10, at);
        const end = newline === -1 ? data.length : newline + 1;
        const part = data.subarray(at, end);
        const before = open.get(stream);
        const line = before
          ? { ...before, text: Buffer.concat([before.text, part]) }
          : { time, stream, text: part };
        at = end;
        if (newline !== -1 || line.text.length >= LONGEST_LINE) {
          open.delete(stream);
          lines.push(line);
        } else open.set(stream, line);
      }
      return lines;
    },
    rest: () => [...open.values()],
  };
}

/** A container's output as lines, what was asked for of it. Docker's order: as it was written, over all streams. */
export async function* logLines(
  journal: string,
  { tail, since, until, stdout, stderr, follow, signal }: LogOptions,
): AsyncGenerator<LogLine, void, undefined> {
  const splitter = lineSplitter();
  const wanted = ({ stream, time }: LogLine): boolean =>
    (stream === 1 ? stdout : stderr) &&
    (since === undefined || time >= since) &&
    (until === undefined || time <= until);

  let next = 0;
  const last: LogLine[] = [];
  if (tail !== 0 || follow)
    for await (const record of readJournal(journal, { signal })) {
      next = record.next;
      for (const line of splitter.push(record).filter(wanted)) {
        if (tail === undefined) yield line;
        else if (last.push(line) > tail) last.shift();
      }
    }
  if (!follow && tail !== 0) {
    const rest = splitter.rest().filter(wanted);
    if (tail === undefined) yield* rest;
    else last.push(...rest);
  }
  if (tail !== undefined && tail > 0) yield* last.slice(-tail);
  if (!follow || signal.aborted) return;

  const stop = new AbortController();
  const left = until === undefined ? undefined : Number(until / 1_000_000n) - Date.now();
  const timer = left === undefined ? undefined : setTimeout(() => stop.abort(), Math.max(left, 0));
  try {
    for await (const record of followRun(journal, {
      from: next,
      over: follow.over,
      signal: AbortSignal.any([signal, stop.signal]),
    }))
      yield* splitter.push(record).filter(wanted);
    if (!signal.aborted) yield* splitter.rest().filter(wanted);
  } finally {
    clearTimeout(timer);
  }
}

/** A line as the client is told it, with its time before it where that was asked for. */
export const formatLine = ({ time, text }: LogLine, timestamps: boolean): Buffer =>
  timestamps ? Buffer.concat([Buffer.from(`${rfc3339(time)} `), text]) : text;

/**
 * A moment in a query: seconds since 1970 with a fraction, as the client sends them, or RFC 3339. Nothing or 0: undefined.
 * @throws ApiError 400
 */
export function parseMoment(name: string, text: string | null): bigint | undefined {
  if (!text || text === '0') return undefined;
  const [, seconds, fraction = ''] = /^(\d+)(?:\.(\d{1,9}))?$/.exec(text) ?? [];
  if (seconds !== undefined) return BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'));
  const parsed = Date.parse(text);
  if (Number.isNaN(parsed)) throw badParameter(`invalid value for "${name}": ${text}`);
  return BigInt(parsed) * 1_000_000n;
}
