import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openJournal } from '../../06-shim-containerd/index.ts';
import { formatLine, logLines, parseMoment, type LogOptions } from '../logs.ts';

let dir: string;
let journal: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), '07d-logs-'));
  journal = join(dir, 'j');
});
afterEach(() => rmSync(dir, { recursive: true }));

const ALL: LogOptions = {
  tail: undefined,
  since: undefined,
  until: undefined,
  stdout: true,
  stderr: true,
  follow: undefined,
  signal: new AbortController().signal,
};

async function read(options: Partial<LogOptions> = {}): Promise<string[]> {
  const lines: string[] = [];
  for await (const { stream, text } of logLines(journal, { ...ALL, ...options }))
    lines.push(`${stream}:${text.toString()}`);
  return lines;
}

function write(...pieces: [1 | 2, string | null][]): void {
  const writer = openJournal(journal);
  for (const [stream, text] of pieces)
    if (text === null) writer.end(stream);
    else writer.write(stream, Buffer.from(text));
  writer.close();
}

describe('logs', () => {
  test('puts lines together that came in pieces, each stream for itself', async () => {
    write([1, 'a'], [2, 'x\ny'], [1, 'b\nc\n'], [2, 'z\n'], [1, 'last']);
    expect(await read()).toEqual(['2:x\n', '1:ab\n', '1:c\n', '2:yz\n', '1:last']);
  });
  test('the tail counts lines over both streams', async () => {
    write([1, 'one\n'], [2, 'two\n'], [1, 'three\n']);
    expect(await read({ tail: 2 })).toEqual(['2:two\n', '1:three\n']);
    expect(await read({ tail: 0 })).toEqual([]);
    expect(await read({ tail: 1, stderr: false })).toEqual(['1:three\n']);
  });
  test('a line that the end of its stream cuts off is a line', async () => {
    write([1, 'cut'], [1, null], [1, 'next run\n']);
    expect(await read()).toEqual(['1:cut', '1:next run\n']);
  });
  test('since and until go by the time of the line', async () => {
    write([1, 'old\n']);
    await new Promise((resolve) => setTimeout(resolve, 20));
    write([1, 'new\n']);
    const times: bigint[] = [];
    for await (const { time } of logLines(journal, ALL)) times.push(time);
    const between = (times[0]! + times[1]!) / 2n;
    expect(times[0]! < between && between < times[1]!).toBe(true);
    expect(await read({ since: between })).toEqual(['1:new\n']);
    expect(await read({ until: between })).toEqual(['1:old\n']);
  });
  test('following tells what comes, and ends with the run, nothing lost', async () => {
    write([1, 'before\n']);
    let end = (): void => undefined;
    const over = new Promise<void>((resolve) => (end = resolve));
    const lines: string[] = [];
    const writeFrom = (first: number): void => {
      for (let i = first; i < first + 50; i++) write([1, `${i}\n`]);
    };
    for await (const { text } of logLines(journal, { ...ALL, follow: { over }, tail: 1 })) {
      lines.push(text.toString());
      // The tail has been read when its last line is told, and the journal is followed when what came later is.
      if (lines.length === 1) writeFrom(0);
      if (lines.length === 51) {
        writeFrom(50);
        end();
      }
    }
    expect(lines).toEqual(['before\n', ...Array.from({ length: 100 }, (_, i) => `${i}\n`)]);
  });
  test('a container that wrote nothing has no log', async () => {
    expect(await read()).toEqual([]);
  });
});

test('timestamps have nanoseconds', () => {
  const line = { time: 1_700_000_000_000_000_007n, stream: 1 as const, text: Buffer.from('x\n') };
  expect(formatLine(line, true).toString()).toBe('2023-11-14T22:13:20.000000007Z x\n');
  expect(formatLine(line, false).toString()).toBe('x\n');
});

test('moments are seconds with a fraction, or RFC 3339', () => {
  expect(parseMoment('since', '12.5')).toBe(12_500_000_000n);
  expect(parseMoment('since', '1970-01-01T00:00:01Z')).toBe(1_000_000_000n);
  expect(parseMoment('since', '0')).toBeUndefined();
  expect(() => parseMoment('since', 'soon')).toThrow('invalid value for "since": soon');
});
