import { invalidArgument } from './errors.ts';
import { decodeName, encodeName } from './file-names.ts';

/** What kinds of thing a layer can hold, by the type flag in the header. POSIX pax(1), "ustar Interchange Format". */
export const TAR_TYPES = {
  '0': 'file',
  '1': 'link',
  '2': 'symlink',
  '3': 'character-device',
  '4': 'block-device',
  '5': 'directory',
  '6': 'fifo',
} as const;

export type TarType = (typeof TAR_TYPES)[keyof typeof TAR_TYPES];

/** One entry of a tar, whichever of its dialects said so. */
export interface TarHeader {
  name: string;
  type: TarType;
  /** Permission bits with setuid, setgid and sticky. */
  mode: number;
  uid: number;
  gid: number;
  /** bytes of content; 0 for everything but files */
  size: number;
  /** nanoseconds since 1970 */
  mtime: bigint;
  /** Where a symbolic link points, or which earlier entry a hard link is another name of; else empty. */
  linkname: string;
  major: number;
  minor: number;
  /** Extended attributes: bytes, not text. */
  xattrs: Map<string, Buffer>;
}

export const BLOCK = 512;
const NANOSECONDS = 1_000_000_000n;

/** Where each field of a header block lies: offset and length, in bytes. */
const FIELD = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  linkname: [157, 100],
  magic: [257, 8],
  major: [329, 8],
  minor: [337, 8],
  prefix: [345, 155],
} as const;

/** How many bytes complete `size` to whole blocks. */
export const padding = (size: number): number => (BLOCK - (size % BLOCK)) % BLOCK;

/** A header block as it stands, before the extensions that came before it are applied. */
export interface RawHeader extends Omit<TarHeader, 'type'> {
  typeflag: string;
}

/**
 * Reads one block of 512 bytes.
 * @throws StoreError INVALID_ARGUMENT when the checksum is wrong
 */
export function decodeHeader(block: Buffer): RawHeader {
  const bytes = ([offset, length]: readonly [number, number]): Buffer =>
    block.subarray(offset, offset + length);
  const text = (field: readonly [number, number]): string => decodeName(untilNul(bytes(field)));
  if (decodeNumber(bytes(FIELD.checksum)) !== checksumOf(block))
    throw invalidArgument('not a tar header: its checksum is wrong');
  // Only POSIX' own dialect has a prefix; GNU's ("ustar  ") has other fields there.
  const prefix = bytes(FIELD.magic).toString('latin1', 0, 6) === 'ustar\0' ? text(FIELD.prefix) : '';
  const name = text(FIELD.name);
  const typeflag = bytes(FIELD.type).toString('latin1');
  return {
    name: prefix ? `${prefix}/${name}` : name,
    typeflag: typeflag === '\0' || typeflag === '7' ? '0' : typeflag,
    mode: decodeNumber(bytes(FIELD.mode)) & 0o7777,
    uid: decodeNumber(bytes(FIELD.uid)),
    gid: decodeNumber(bytes(FIELD.gid)),
    size: decodeNumber(bytes(FIELD.size)),
    mtime: BigInt(decodeNumber(bytes(FIELD.mtime))) * NANOSECONDS,
    linkname: text(FIELD.linkname),
    major: decodeNumber(bytes(FIELD.major)),
    minor: decodeNumber(bytes(FIELD.minor)),
    xattrs: new Map(),
  };
}

/** Octal digits, or, with the first bit set, a binary number (GNU). */
export function decodeNumber(bytes: Buffer): number {
  if (bytes[0]! & 0x80) {
    const value = BigInt.asIntN(bytes.length * 8 - 1, BigInt(`0x${bytes.toString('hex')}`));
    if (value > Number.MAX_SAFE_INTEGER || value < Number.MIN_SAFE_INTEGER)
      throw invalidArgument(`a number in a tar header is too large: ${value}`);
    return Number(value);
  }
  const digits = untilNul(bytes).toString('latin1').trim();
  if (!/^[0-7]*$/.test(digits))
    throw invalidArgument(`${JSON.stringify(digits)} in a tar header is not octal`);
  return digits ? parseInt(digits, 8) : 0;
}

/** The sum of all bytes, those of the checksum itself counted as spaces. */
function checksumOf(block: Buffer): number {
  const [from, length] = FIELD.checksum;
  let sum = 32 * length;
  for (let i = 0; i < BLOCK; i++) if (i < from || i >= from + length) sum += block[i]!;
  return sum;
}

const untilNul = (bytes: Buffer): Buffer => {
  const end = bytes.indexOf(0);
  return end === -1 ? bytes : bytes.subarray(0, end);
};

/** An extended attribute's key in a pax header. A key ends at the first `=`, so one in the name is spelled %3D, as GNU tar does. */
const XATTR_KEY = 'SCHILY.xattr.';

/** The name of the attribute that a key is of; `undefined` for other keys. */
export const xattrName = (key: string): string | undefined =>
  key.startsWith(XATTR_KEY)
    ? key.slice(XATTR_KEY.length).replaceAll('%3D', '=').replaceAll('%25', '%')
    : undefined;

/**
 * The block, or blocks, that announce an entry: a ustar header, and before it a pax header for what does not fit (long or
 * non-ASCII names, large numbers, nanoseconds, extended attributes).
 */
export function encodeHeader(header: TarHeader): Buffer {
  const records: Buffer[] = [];
  const fits = (text: string): boolean => Buffer.byteLength(text) <= 100 && /^[ -~]*$/.test(text);
  const record = (key: string, value: string | Buffer): void => void records.push(paxRecord(key, value));
  if (!fits(header.name)) record('path', header.name);
  if (!fits(header.linkname)) record('linkpath', header.linkname);
  if (header.uid > 0o7777777) record('uid', String(header.uid));
  if (header.gid > 0o7777777) record('gid', String(header.gid));
  if (header.size > 0o77777777777) record('size', String(header.size));
  if (header.mtime % NANOSECONDS !== 0n || header.mtime < 0n || header.mtime > 0o77777777777n * NANOSECONDS)
    record('mtime', formatTime(header.mtime));
  for (const name of [...header.xattrs.keys()].sort())
    record(`${XATTR_KEY}${name.replaceAll('%', '%25').replaceAll('=', '%3D')}`, header.xattrs.get(name)!);

  const typeflag = Object.entries(TAR_TYPES).find(([, type]) => type === header.type)![0];
  const main = encodeBlock(header, typeflag);
  if (records.length === 0) return main;
  const pax = Buffer.concat(records);
  const announced = { ...header, name: 'PaxHeaders/entry', linkname: '', size: pax.length, mode: 0o644 };
  return Buffer.concat([encodeBlock(announced, 'x'), pax, Buffer.alloc(padding(pax.length)), main]);
}

function encodeBlock(header: TarHeader, typeflag: string): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = ([offset, length]: readonly [number, number], value: number): void => {
    const limit = 8 ** (length - 1) - 1;
    // What does not fit stands in the pax header; readers of old find the nearest number here.
    const digits = Math.min(Math.max(value, 0), limit).toString(8);
    block.write(digits.padStart(length - 1, '0'), offset, 'latin1');
  };
  const text = ([offset, length]: readonly [number, number], value: string): void =>
    void encodeName(value).copy(block, offset, 0, length);
  text(FIELD.name, header.name);
  octal(FIELD.mode, header.mode);
  octal(FIELD.uid, header.uid);
  octal(FIELD.gid, header.gid);
  octal(FIELD.size, header.size);
  octal(FIELD.mtime, Number(header.mtime / NANOSECONDS));
  block.write(typeflag, FIELD.type[0]);
  text(FIELD.linkname, header.linkname);
  block.write('ustar\x0000', FIELD.magic[0], 'latin1');
  octal(FIELD.major, header.major);
  octal(FIELD.minor, header.minor);
  block.write(`${checksumOf(block).toString(8).padStart(6, '0')}\0 `, FIELD.checksum[0], 'latin1');
  return block;
}

/** `LENGTH KEY=VALUE\n`, where the length counts itself. */
function paxRecord(key: string, value: string | Buffer): Buffer {
  const rest = Buffer.concat([
    encodeName(` ${key}=`),
    typeof value === 'string' ? encodeName(value) : value,
    Buffer.from('\n'),
  ]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** Seconds with a fraction, as pax writes times; rounded to nothing. */
function formatTime(time: bigint): string {
  const sign = time < 0n ? '-' : '';
  const positive = time < 0n ? -time : time;
  const fraction = String(positive % NANOSECONDS)
    .padStart(9, '0')
    .replace(/0+$/, '');
  return `${sign}${positive / NANOSECONDS}${fraction && `.${fraction}`}`;
}

/** The reverse. @throws StoreError INVALID_ARGUMENT */
export function parseTime(text: string): bigint {
  const match = /^(-?)(\d+)(?:\.(\d*))?$/.exec(text);
  if (!match) throw invalidArgument(`${JSON.stringify(text)} in a tar is no time`);
  const positive = BigInt(match[2]!) * NANOSECONDS + BigInt((match[3] ?? '').slice(0, 9).padEnd(9, '0'));
  return match[1] ? -positive : positive;
}

/** A header with the fields that matter given, and the rest as for a plain file of root's. */
export function tarHeader(fields: Partial<TarHeader> & { name: string }): TarHeader {
  return {
    type: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: 0,
    mtime: 0n,
    linkname: '',
    major: 0,
    minor: 0,
    xattrs: new Map(),
    ...fields,
  };
}
