import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openJournal, readJournal, type JournalRecord } from '../journal.ts';

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'shim-journal-'));
  path = join(dir, 'x.journal');
});
afterEach(() => rmSync(dir, { recursive: true }));

const all = async (from = 0): Promise<JournalRecord[]> => {
  const records: JournalRecord[] = [];
  for await (const record of readJournal(path, { from })) records.push(record);
  return records;
};
const shown = (records: JournalRecord[]): string[] => records.map((r) => `${r.stream}:${r.data.toString()}`);

describe('journal', () => {
  test('a record is a time, the stream header of Docker and the data', () => {
    const journal = openJournal(path);
    journal.write(2, Buffer.from('hi\n'));
    journal.close();
    const bytes = readFileSync(path);
    expect(bytes.subarray(8).toString('hex')).toBe('0200000000000003' + Buffer.from('hi\n').toString('hex'));
    const skew = Number(bytes.readBigUInt64BE(0) / 1_000_000n) - Date.now();
    expect(Math.abs(skew)).toBeLessThan(60_000);
  });

  test('what was written is read back in order, with its end, and a reader can go on where it was', async () => {
    const journal = openJournal(path);
    journal.write(1, Buffer.from('one'));
    journal.write(2, Buffer.from('two'));
    journal.end(1);
    const records = await all();
    expect(shown(records)).toEqual(['1:one', '2:two', '1:']);
    expect(records[0]!.time < records[1]!.time && records[1]!.time < records[2]!.time).toBe(true);
    journal.write(1, Buffer.from('three'));
    journal.close();
    expect(shown(await all(records[2]!.next))).toEqual(['1:three']);
    expect(records[2]!.next + 16 + 5).toBe(statSync(path).size);
  });

  test('output longer than a record allows becomes several, and none of it is lost', async () => {
    const data = Buffer.alloc((2 << 20) + 7, 'x');
    const journal = openJournal(path);
    journal.write(1, data);
    journal.close();
    const records = await all();
    expect(records).toHaveLength(3);
    expect(Buffer.concat(records.map((r) => r.data)).equals(data)).toBe(true);
  });

  test('a file that does not exist is an empty journal', async () => {
    expect(await all()).toEqual([]);
  });

  test('a torn record at the end is left alone by readers, and cut off by the next writer', async () => {
    const first = openJournal(path);
    first.write(1, Buffer.from('whole'));
    first.close();
    const whole = readFileSync(path);
    for (const torn of [3, 15, 16, 18]) {
      writeFileSync(path, Buffer.concat([whole, whole.subarray(0, torn)]));
      expect(shown(await all())).toEqual(['1:whole']);
      const next = openJournal(path);
      next.write(1, Buffer.from('next'));
      next.close();
      expect(shown(await all())).toEqual(['1:whole', '1:next']);
    }
  });

  test('a follower gets records of a file made later, a torn one once it is whole, and ends when aborted', async () => {
    const stop = new AbortController();
    const seen: string[] = [];
    const reading = (async () => {
      for await (const record of readJournal(path, { follow: true, signal: stop.signal })) {
        seen.push(record.data.toString());
        if (seen.length === 3) stop.abort();
      }
    })();
    await new Promise((resolve) => setTimeout(resolve, 20));
    const journal = openJournal(path);
    journal.write(1, Buffer.from('a'));
    const record = readFileSync(path);
    appendFileSync(path, record.subarray(0, 9));
    await new Promise((resolve) => setTimeout(resolve, 20));
    appendFileSync(path, record.subarray(9));
    journal.write(1, Buffer.from('c'));
    journal.close();
    await reading;
    expect(seen).toEqual(['a', 'a', 'c']);
  });
});
