import { deflateRawSync, gzipSync } from 'node:zlib';

/** A source of chance, from 0 to 1. */
export type Next = () => number;

export const below = (next: Next, limit: number): number => Math.floor(next() * limit);
export const pick = <T>(next: Next, list: readonly T[]): T => list[below(next, list.length)]!;

const BLOCK = 512;

/** Names that lead somewhere, or nowhere, that no honest archive names. `outside` is a folder that nothing may reach. */
export const hostileNames = (outside: string): string[] => [
  '', '.', '/', '..', '../', 'a/..', '../../../../../../../../../../etc/fuzz-escape', `../outside/canary`, `${outside}/canary`, `${outside}/new`,
  'link/canary', 'link/new', 'dir/../../outside/new', './/a//b', 'a', 'dir', 'dir/a', 'dir/b/c/d', '.wh.', '.wh..', '.wh...', '.wh.a', '.wh.dir', '.wh.link',
  'link/.wh.canary', 'dir/.wh..wh..opq', '.wh..wh..opq', 'link/.wh..wh..opq', '.wh..wh.plnk/1', 'x'.repeat(100), 'x'.repeat(255), 'x'.repeat(256), 'd/'.repeat(60),
  'a\nb', '\u00e4\u{1F600}', '/proc/self/cwd/fuzz-escape', '/proc/self/fd/3', 'fifo', 'device/x', '-rf', '__proto__', 'index.json', 'manifest.json', 'oci-layout',
  'blobs/sha256/../../x', `blobs/sha256/${'0'.repeat(64)}`, 'PaxHeaders/entry',
]; // prettier-ignore

const NUMBERS = [
  '0', '7', '-1', '777777777777', '0000000000', '99999999', '8', ' 644 ', '0x1f', '1e9', '', '\0', '18446744073709551616', '200000000', '7777777',
]; // prettier-ignore

/** Where the fields of a header lie: offset and length. */
const FIELDS = {
  name: [0, 100], mode: [100, 8], uid: [108, 8], gid: [116, 8], size: [124, 12], mtime: [136, 12], type: [156, 1], linkname: [157, 100],
  magic: [257, 8], major: [329, 8], minor: [337, 8], prefix: [345, 155],
} as const; // prettier-ignore

const PAX_KEYS = ['path', 'linkpath', 'size', 'uid', 'gid', 'mtime', 'hdrcharset', 'GNU.sparse.major', 'GNU.sparse.minor', 'GNU.sparse.realsize',
  'GNU.sparse.name', 'GNU.sparse.map', 'SCHILY.xattr.user.a', 'SCHILY.xattr.trusted.overlay.opaque', 'SCHILY.xattr.security.capability', 'SCHILY.xattr.', '__proto__']; // prettier-ignore

/** A damaged or lying copy of a tar: one to four changes to its blocks or its bytes; perhaps compressed. */
export function mutateTar(tar: Buffer, next: Next, outside: string): Buffer {
  let bytes: Buffer = Buffer.from(tar);
  for (let changes = 1 + below(next, 4); changes > 0; changes--) bytes = changeTar(bytes, next, outside);
  const packing = next();
  if (packing < 0.9) return bytes;
  if (packing < 0.95) return gzipSync(bytes);
  return mutateBytes(packing < 0.99 ? gzipSync(bytes) : deflateRawSync(bytes), next);
}

function changeTar(bytes: Buffer, next: Next, outside: string): Buffer {
  const headers = headersOf(bytes);
  if (headers.length === 0) return mutateBytes(bytes, next);
  const at = pick(next, headers);
  const kind = next();
  // A field says something else, and the checksum that it is meant so.
  if (kind < 0.45) {
    const copy = Buffer.from(bytes);
    const name = pick(next, Object.keys(FIELDS) as (keyof typeof FIELDS)[]);
    const [offset, length] = FIELDS[name];
    const value =
      name === 'type'
        ? pick(next, [...'01234567xgLKSVDA\0z'])
        : pick(next, [...NUMBERS, ...hostileNames(outside)]);
    copy.fill(0, at + offset, at + offset + length);
    copy.write(value, at + offset, length);
    if (next() < 0.1) copy[at + offset] = 0x80 | below(next, 128);
    return sealed(copy, at);
  }
  // An entry comes twice, or elsewhere, or not at all.
  const end = at + BLOCK + blocks(sizeAt(bytes, at));
  const entry = bytes.subarray(at, end);
  const place = pick(next, headers);
  if (kind < 0.55) return Buffer.concat([bytes.subarray(0, place), entry, bytes.subarray(place)]);
  if (kind < 0.6) return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
  if (kind < 0.75)
    return Buffer.concat([bytes.subarray(0, place), madeUp(next, outside), bytes.subarray(place)]);
  if (kind < 0.85) return Buffer.concat([bytes.subarray(0, at), extended(next, outside), bytes.subarray(at)]);
  return mutateBytes(bytes, next);
}

/** An entry of a kind, a name and a target by chance. */
function madeUp(next: Next, outside: string): Buffer {
  const names = hostileNames(outside);
  const type = pick(next, [...'01234567']);
  return entryOf(type === '0' ? Buffer.from('made up') : Buffer.alloc(0), {
    name: pick(next, names),
    type,
    linkname: /[12]/.test(type) ? pick(next, names) : '',
    mode: pick(next, ['0', '644', '4755', '7777']),
    uid: pick(next, ['0', '1750', '7777777']),
    major: pick(next, ['0', '1', '7777777']),
    minor: pick(next, ['0', '3']),
    mtime: pick(next, ['0', '77777777777']),
  });
}

/** An extended header that says anything of the entry after it, or of all. */
function extended(next: Next, outside: string): Buffer {
  const records = Array.from({ length: 1 + below(next, 3) }, () => {
    const rest = ` ${pick(next, PAX_KEYS)}=${pick(next, [...NUMBERS, ...hostileNames(outside)])}\n`;
    const digits = String(Buffer.byteLength(rest) + 2).length;
    const length = next() < 0.8 ? Buffer.byteLength(rest) + digits : below(next, 50);
    return `${length}${rest}`;
  });
  return entryOf(Buffer.from(records.join('')), {
    name: 'PaxHeaders/entry',
    type: pick(next, [...'xxxgLK']),
  });
}

/** A header with these fields as they stand, and a body. */
function entryOf(body: Buffer, fields: Partial<Record<keyof typeof FIELDS, string>>): Buffer {
  const block = Buffer.alloc(BLOCK);
  const all = { magic: 'ustar\x0000', size: body.length.toString(8).padStart(11, '0'), ...fields };
  for (const [name, text] of Object.entries(all)) {
    const [offset, length] = FIELDS[name as keyof typeof FIELDS];
    block.write(text, offset, length);
  }
  return Buffer.concat([sealed(block, 0), body, Buffer.alloc(blocks(body.length) - body.length)]);
}

/** Bytes turned, left out, put in, doubled, cut off. */
export function mutateBytes(bytes: Buffer, next: Next): Buffer {
  if (bytes.length === 0) return Buffer.from([below(next, 256)]);
  const at = below(next, bytes.length);
  const some = 1 + below(next, Math.min(600, bytes.length));
  const kind = next();
  if (kind < 0.3) return bytes.subarray(0, at);
  if (kind < 0.7) {
    const copy = Buffer.from(bytes);
    for (let i = below(next, 8); i >= 0; i--) copy[below(next, copy.length)] = below(next, 256);
    return copy;
  }
  if (kind < 0.8) return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + some)]);
  if (kind < 0.9)
    return Buffer.concat([bytes.subarray(0, at), Buffer.alloc(some, below(next, 256)), bytes.subarray(at)]);
  return Buffer.concat([bytes.subarray(0, at + some), bytes.subarray(at)]);
}

/** Where the headers of a tar begin, as far as it can be followed. */
function headersOf(bytes: Buffer): number[] {
  const found: number[] = [];
  for (let at = 0; at + BLOCK <= bytes.length && bytes[at] !== 0; at += BLOCK + blocks(sizeAt(bytes, at)))
    found.push(at);
  return found;
}

function sizeAt(bytes: Buffer, at: number): number {
  const [offset, length] = FIELDS.size;
  const size = parseInt(bytes.toString('latin1', at + offset, at + offset + length), 8);
  return size >= 0 && size < bytes.length ? size : 0;
}

const blocks = (size: number): number => Math.ceil(size / BLOCK) * BLOCK;

/** With the checksum that fits. */
function sealed(bytes: Buffer, at: number): Buffer {
  bytes.fill(' ', at + 148, at + 156);
  let sum = 0;
  for (let i = at; i < Math.min(at + BLOCK, bytes.length); i++) sum += bytes[i]!;
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, at + 148, 'latin1');
  return bytes;
}
