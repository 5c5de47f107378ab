import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import { describe, expect, test } from 'vitest';
import { readTar, tarHeader, writeTar, type TarHeader, type TarInput } from '../index.ts';
import { collect, streamOf } from './bytes.ts';
import { scratch } from './scratch.ts';

const bytesOf = (entries: TarInput[]): Promise<Buffer> => collect(writeTar(entries));

async function entriesOf(data: Buffer): Promise<{ header: TarHeader; text: string }[]> {
  const entries: { header: TarHeader; text: string }[] = [];
  for await (const { header, body } of readTar(streamOf(data))) {
    entries.push({ header, text: (await collect(body)).toString() });
  }
  return entries;
}

const long = `${'directory/'.repeat(20)}file-ü`;

describe('tar', () => {
  test('what is written is read again exactly: bytes in attributes, nanoseconds, long names, mode 0', async () => {
    const capability = Buffer.from([1, 0, 0, 2, 0, 0xff, 0x80, 0x0a, 0x3d, 0]);
    const headers = [
      tarHeader({ name: 'dir/', type: 'directory', mode: 0o1777 }),
      tarHeader({ name: 'secret', mode: 0, size: 5, uid: 3_000_000_000, gid: 2_097_152 }),
      tarHeader({
        name: long,
        mtime: 1_700_000_000_123_456_789n,
        xattrs: new Map([['security.capability', capability]]),
      }),
      tarHeader({ name: 'old', mtime: -1_500_000_000n }),
      tarHeader({ name: 'link', type: 'symlink', linkname: `../${long}` }),
      tarHeader({ name: 'hard', type: 'link', linkname: 'secret' }),
      tarHeader({ name: 'null', type: 'character-device', major: 1, minor: 3 }),
      tarHeader({ name: 'pipe', type: 'fifo', mode: 0o4755 }),
    ];
    const data = await bytesOf(
      headers.map((header) => ({ header, body: Buffer.from('hello').subarray(0, header.size) })),
    );
    const entries = await entriesOf(data);
    expect(entries.map(({ header }) => header)).toEqual(headers);
    expect(entries[1]!.text).toBe('hello');
    expect(data.length % 512).toBe(0);
  });

  test('GNU tar and tar-stream read what is written', async () => {
    const data = await bytesOf([
      { header: tarHeader({ name: long, size: 2, mode: 0o640 }), body: Buffer.from('hi') },
      { header: tarHeader({ name: 'to', type: 'symlink', linkname: 'from' }) },
    ]);
    const listing = execFileSync('tar', ['--numeric-owner', '--quoting-style=literal', '-tvf', '-'], {
      input: data,
      env: { ...process.env, LC_ALL: 'C.UTF-8' },
    }).toString();
    expect(listing).toContain('-rw-r----- 0/0');
    expect(listing).toContain(long);
    expect(listing).toContain('to -> from');
    const names: string[] = [];
    const stream = extract();
    Readable.from([data]).pipe(stream);
    for await (const entry of stream) {
      names.push(entry.header.name);
      entry.resume();
    }
    expect(names).toEqual([long, 'to']);
  });

  test.each(['gnu', 'posix', 'ustar', 'v7'])('reads what GNU tar writes in the %s format', async (format) => {
    const dir = scratch();
    const deep = format === 'v7' || format === 'ustar' ? 'deep' : 'a-rather-long-name'.repeat(8);
    mkdirSync(join(dir, deep));
    writeFileSync(join(dir, deep, 'file'), 'content');
    symlinkSync('file', join(dir, deep, 'link'));
    const data = execFileSync('tar', [`--format=${format}`, '--sort=name', '-C', dir, '-cf', '-', deep]);
    const entries = await entriesOf(data);
    expect(entries.map(({ header }) => [header.name, header.type])).toEqual([
      [`${deep}/`, 'directory'],
      [`${deep}/file`, 'file'],
      [`${deep}/link`, 'symlink'],
    ]);
    expect(entries[1]!.text).toBe('content');
  });

  test('what the reader of an entry leaves is skipped', async () => {
    const data = await bytesOf([
      { header: tarHeader({ name: 'a', size: 2000 }), body: Buffer.alloc(2000, 'x') },
      { header: tarHeader({ name: 'b', size: 1 }), body: Buffer.from('y') },
    ]);
    const names: string[] = [];
    for await (const { header } of readTar(streamOf(data))) names.push(header.name);
    expect(names).toEqual(['a', 'b']);
  });

  test('a damaged or cut tar is refused, never read wrong', async () => {
    const whole = await bytesOf([{ header: tarHeader({ name: 'a', size: 2000 }), body: Buffer.alloc(2000) }]);
    await expect(entriesOf(whole.subarray(0, 1500))).rejects.toThrow('the tar is cut off');
    await expect(entriesOf(whole.subarray(0, 100))).rejects.toThrow('the tar is cut off');
    const wrong = Buffer.from(whole);
    wrong[0] = 0x62;
    await expect(entriesOf(wrong)).rejects.toThrow('checksum is wrong');
    await expect(entriesOf(Buffer.alloc(600, 'no tar'))).rejects.toThrow(/checksum|octal/);
  });

  test('a link to a name with a NUL in it is refused', async () => {
    const linkname = `\0${'x'.repeat(200)}`;
    const tar = await bytesOf([{ header: tarHeader({ name: 'a', type: 'symlink', linkname }) }]);
    await expect(entriesOf(tar)).rejects.toThrow('"a" links to a name with a NUL in it');
  });

  test.each([
    ['uid', 2 ** 32 - 1],
    ['gid', 777_777_777_777],
  ])('an owner that the kernel has no number for is refused: %s %d', async (key, id) => {
    const tar = await bytesOf([{ header: { ...tarHeader({ name: 'a' }), [key]: id } }]);
    await expect(entriesOf(tar)).rejects.toThrow(`"a" has the ${key} ${id}: from 0 to 4294967294`);
  });

  test('a body that is not as long as announced is refused when writing', async () => {
    const entry = { header: tarHeader({ name: 'a', size: 3 }), body: Buffer.from('four') };
    await expect(bytesOf([entry])).rejects.toThrow('"a": 4 bytes, announced were 3');
  });
});
