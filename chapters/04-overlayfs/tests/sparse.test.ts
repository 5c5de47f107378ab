import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { applyLayer, diffLayer, digestOf, readTar, tarHeader, writeTar } from '../index.ts';
import { needsRoot, scratch } from './scratch.ts';
import { collect, streamOf } from './bytes.ts';

needsRoot();

const MIB = 1024 * 1024;

/** A folder with a file of `size` bytes, of which only a few have been written. */
function sparseFolder(pieces: number, size = 8 * MIB): { dir: string; path: string } {
  const dir = scratch();
  const path = join(dir, 'disk.img');
  const fd = openSync(path, 'w');
  for (let i = 0; i < pieces; i++) writeSync(fd, `piece ${i}`, Math.floor((size / pieces) * i));
  ftruncateSync(fd, size);
  closeSync(fd);
  return { dir, path };
}

const roomOf = (path: string): number => statSync(path).blocks * 512;

const gnuTar = (dir: string, ...args: string[]): Buffer =>
  execFileSync('tar', ['-S', ...args, '-C', dir, '-cf', '-', 'disk.img'], { maxBuffer: 128 * MIB });

/** The four spellings that GNU tar has had. */
const SPELLINGS: [string, string[]][] = [
  ['old GNU', ['--format=gnu']],
  ['pax 0.0', ['--format=posix', '--sparse-version=0.0']],
  ['pax 0.1', ['--format=posix', '--sparse-version=0.1']],
  ['pax 1.0', ['--format=posix', '--sparse-version=1.0']],
];

describe.each(SPELLINGS)('a sparse file that GNU tar spelled as %s', (_, args) => {
  test.each([0, 1, 4, 5, 70])('is unpacked with its bytes and its holes: %d pieces', async (pieces) => {
    const { dir, path } = sparseFolder(pieces);
    const tar = gnuTar(dir, ...args);
    expect(tar.length).toBeLessThan(MIB); // GNU tar found the holes: else this tests nothing
    const out = scratch();
    const { size } = await applyLayer(streamOf(tar), out);
    expect(size).toBe(8 * MIB);
    expect(readFileSync(join(out, 'disk.img')).equals(readFileSync(path))).toBe(true);
    expect(roomOf(join(out, 'disk.img'))).toBeLessThanOrEqual(roomOf(path));
  });

  test('is read whole by one who wants every byte, and the next entry is found', async () => {
    const { dir, path } = sparseFolder(30, 2 * MIB + 17);
    execFileSync('touch', [join(dir, 'next')]);
    const tar = execFileSync('tar', ['-S', ...args, '-C', dir, '-cf', '-', 'disk.img', 'next']);
    const bodies: Buffer[] = [];
    for await (const { header, body } of readTar(streamOf(tar))) {
      bodies.push(await collect(body));
      expect(bodies.at(-1)!.length).toBe(header.size);
    }
    expect(bodies[0]!.equals(readFileSync(path))).toBe(true);
    expect(bodies.length).toBe(2);
    const names: string[] = [];
    for await (const { header } of readTar(streamOf(tar))) names.push(header.name);
    expect(names).toEqual(['disk.img', 'next']);
  });
});

describe('holes', () => {
  test('come back from a layer, which has none, and do not change its digest', async () => {
    const { dir, path } = sparseFolder(3, 5 * MIB);
    execFileSync('touch', ['-d', '@1', path]);
    const layer = await collect(diffLayer(dir));
    expect(layer.length).toBeGreaterThan(5 * MIB);
    const out = scratch();
    await applyLayer(streamOf(layer), out);
    expect(readFileSync(join(out, 'disk.img')).equals(readFileSync(path))).toBe(true);
    expect(roomOf(join(out, 'disk.img'))).toBe(roomOf(path));

    const full = scratch();
    execFileSync('cp', ['-p', '--sparse=never', path, full]);
    expect(roomOf(join(full, 'disk.img'))).toBeGreaterThanOrEqual(5 * MIB);
    expect(digestOf(await collect(diffLayer(full)))).toBe(digestOf(layer));
  });

  test('of a terabyte take no time and no room; who wants them as zeros is refused', async () => {
    const { dir } = sparseFolder(1, 1024 ** 4);
    const tar = gnuTar(dir);
    const out = scratch();
    await applyLayer(streamOf(tar), out);
    expect(statSync(join(out, 'disk.img')).size).toBe(1024 ** 4);
    expect(roomOf(join(out, 'disk.img'))).toBeLessThan(MIB);
    const whole = async (): Promise<void> => {
      for await (const { body } of readTar(streamOf(tar))) await collect(body);
    };
    await expect(whole()).rejects.toThrow(/sparse file with \d+ bytes of holes/);
  });
});

describe('a map that lies', () => {
  const record = (key: string, value: string | number): Buffer => {
    const rest = ` ${key}=${value}\n`;
    let length = rest.length + 1;
    while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
    return Buffer.from(`${length}${rest}`);
  };

  /** A tar with one sparse entry, spelled 0.1, of `stored` bytes. */
  async function sparseTar(records: [string, string | number][], stored = 8): Promise<Buffer> {
    const pax = Buffer.concat(records.map(([key, value]) => record(`GNU.sparse.${key}`, value)));
    const first = await collect(
      writeTar([{ header: tarHeader({ name: 'pax', size: pax.length }), body: pax }]),
    );
    first.write('x', 156);
    const sum = first.subarray(0, 512).reduce((sum, byte, i) => sum + (i >= 148 && i < 156 ? 32 : byte), 0);
    first.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    const body = Buffer.alloc(stored, 'x');
    const second = await collect(writeTar([{ header: tarHeader({ name: 'lie', size: stored }), body }]));
    return Buffer.concat([first.subarray(0, -1024), second]);
  }

  const map = (text: string, size: number, numblocks = 2): [string, string | number][] => [
    ['map', text],
    ['size', size],
    ['numblocks', numblocks],
  ];

  test('is not refused while it is true', async () => {
    const out = scratch();
    await applyLayer(streamOf(await sparseTar(map('0,4,4096,4', 8192))), out);
    expect(readFileSync(join(out, 'lie')).filter((byte) => byte !== 0).length).toBe(8);
  });

  test.each<[string, [string, string | number][], RegExp]>([
    ['one over the other', map('0,6,4,2', 8192), /2 bytes at 4, after 6 and of 8192/],
    ['backwards', map('4096,4,0,4', 8192), /4 bytes at 0, after 4100/],
    ['beyond the file', map('0,4,8190,4', 8192), /4 bytes at 8190, after 4 and of 8192/],
    ['negative', map('0,4,-4,4', 8192), /"-4" is no number/],
    ['of fewer bytes than follow', map('0,4,4096,2', 8192), /it is of 6 bytes; 8 follow/],
    ['of more bytes than follow', map('0,4,4096,400', 8192), /it is of 404 bytes; 8 follow/],
    ['an offset without length', map('0,4,4096', 8192), /an offset has no length/],
    ['another number of pieces', map('0,4,4096,4', 8192, 3), /numblocks/],
    ['no size', [['map', '0,8']], /undefined is no number/],
    ['too large a number', map('0,4,99999999999999999999,4', 8192), /is no number/],
    [
      'an unknown version',
      [
        ['major', 2],
        ['minor', 0],
        ['realsize', 9],
      ],
      /version 2\.0 is not known/,
    ],
    [
      'a map without an end',
      [
        ['major', 1],
        ['minor', 0],
        ['realsize', 9],
      ],
      /does not end|is no number/,
    ],
  ])('is refused: %s', async (_, records, reason) => {
    const out = scratch();
    const applied = applyLayer(streamOf(await sparseTar(records)), out);
    await expect(applied).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(applied).rejects.toThrow(reason);
    expect(() => statSync(join(out, 'lie'))).toThrow('ENOENT');
  });

  test('is refused in the old spelling too', async () => {
    const { dir } = sparseFolder(3);
    const tar = gnuTar(dir, '--format=gnu');
    tar.write('77777777777\0', 386); // the first offset
    const sum = tar.subarray(0, 512).reduce((sum, byte, i) => sum + (i >= 148 && i < 156 ? 32 : byte), 0);
    tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    await expect(applyLayer(streamOf(tar), scratch())).rejects.toThrow(/the map of a sparse file is wrong/);
  });
});
