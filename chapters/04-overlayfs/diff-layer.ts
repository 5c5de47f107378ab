import { closeSync, createReadStream, lstatSync, openSync, readlinkSync, readSync, statSync } from 'node:fs';
import { posix } from 'node:path';
import { decodeName, fsPath } from './file-names.ts';
import type { LayerStack } from './layer-stack.ts';
import { writeTar, type TarInput } from './tar.ts';
import { tarHeader, type TarHeader } from './tar-header.ts';
import { deviceParts } from './tar-node.ts';
import { plainTree, upperTree } from './upper-tree.ts';
import { OPAQUE_NAME, WHITEOUT_PREFIX } from './whiteout.ts';
import { getXattr, isReserved, listXattrs } from './xattr.ts';

/**
 * A layer made of an upper directory: what `applyLayer` makes it from again, byte for byte the same while the directory is.
 * overlayfs' marks are written in the tar's spelling; its other private attributes are left out, and so are sockets. What overlayfs has
 * not copied up, of a file whose mode was changed or of a directory that was renamed, comes from the layers below.
 * Source: OCI image-spec, layer.md, "Representing Changes".
 * @param layers an upper directory, alone or with what it lies on
 * @throws StoreError FAILED_PRECONDITION when something lies in the layers below and they were not given
 */
export function diffLayer(layers: string | LayerStack): AsyncGenerator<Buffer> {
  const stack = typeof layers === 'string' ? { upper: layers, lowers: [] } : layers;
  return writeTar(entriesOf(upperTree(stack), ''));
}

/**
 * A file, or a directory with all in it, as entries of a tar. Whiteouts are devices here.
 * @param as what the top is called in the tar; empty: its content alone
 * @param options.follow whether a link at the top is what it leads to
 */
export function treeEntries(root: string, as: string, { follow = false } = {}): Generator<TarInput> {
  return entriesOf(plainTree(root), as, follow);
}

type Tree = ReturnType<typeof plainTree>;

function* entriesOf(tree: Tree, as: string, follow = false): Generator<TarInput> {
  /** The first name of each file that has several. */
  const names = new Map<string, string>();

  function* entry(path: string, name: string): Generator<TarInput> {
    const follows = follow && path === '/';
    const place = tree.locate(path);
    const stat = (follows ? statSync : lstatSync)(fsPath(place), { bigint: true });
    const type = typeOf(stat);
    if (!type) return;
    const inode = `${stat.dev}:${stat.ino}`;
    const first = names.get(inode);
    const header = tarHeader({
      name: type === 'directory' ? `${name}/` : name,
      type: first === undefined ? type : 'link',
      linkname: first ?? (type === 'symlink' ? decodeName(readlinkSync(fsPath(place), BYTES)) : ''),
      mode: Number(stat.mode) & 0o7777,
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      mtime: stat.mtimeNs,
      size: type === 'file' && first === undefined ? Number(stat.size) : 0,
      ...(type.endsWith('device') && deviceParts(stat.rdev)),
      xattrs: first === undefined && !follows ? xattrsOf(place) : new Map(),
    });
    if (stat.nlink > 1n && type !== 'directory' && first === undefined) names.set(inode, name);
    yield header.size > 0 ? { header, body: fileBytes(tree.bytesOf(path), header.size) } : { header };
    if (type === 'directory') yield* content(path, name);
  }

  function* content(dir: string, name: string): Generator<TarInput> {
    const below = (base: string): string => (name === '' ? base : `${name}/${base}`);
    const bases = tree.names(dir);
    if (name !== '' && tree.isOpaque(dir)) yield { header: tarHeader({ name: below(OPAQUE_NAME) }) };
    for (const base of bases) {
      const path = posix.join(dir, base);
      if (tree.isWhiteout(path)) yield { header: tarHeader({ name: below(`${WHITEOUT_PREFIX}${base}`) }) };
      else yield* entry(path, below(base));
    }
  }
  yield* as === '' ? content('/', '') : entry('/', as);
}

const BYTES = { encoding: 'buffer' } as const;

/** What is read at once; a larger file is read piece by piece. Bytes. */
const SMALL = 256 << 10;

/** A file's bytes, opened each time they are asked for; what it grows by meanwhile is left out. */
function fileBytes(path: string, size: number): AsyncIterable<Uint8Array> {
  const open = (): NodeJS.AsyncIterator<Uint8Array> =>
    size <= SMALL
      ? smallFile(path, size)
      : createReadStream(fsPath(path), { end: size - 1, highWaterMark: SMALL })[Symbol.asyncIterator]();
  return { [Symbol.asyncIterator]: open };
}

/** Most files are small, and a trip to another thread for each call would take longer than the call. */
async function* smallFile(path: string, size: number): AsyncGenerator<Uint8Array> {
  const fd = openSync(fsPath(path), 'r');
  try {
    const buffer = Buffer.allocUnsafe(size);
    let read = 0;
    for (let got = -1; got !== 0 && read < size; read += got)
      got = readSync(fd, buffer, read, size - read, read);
    yield buffer.subarray(0, read);
  } finally {
    closeSync(fd);
  }
}

function typeOf(stat: ReturnType<typeof lstatSync> & object): TarHeader['type'] | undefined {
  if (stat.isFile()) return 'file';
  if (stat.isDirectory()) return 'directory';
  if (stat.isSymbolicLink()) return 'symlink';
  if (stat.isCharacterDevice()) return 'character-device';
  if (stat.isBlockDevice()) return 'block-device';
  return stat.isFIFO() ? 'fifo' : undefined; // a socket is of use only to the process that made it
}

function xattrsOf(path: string): Map<string, Buffer> {
  const xattrs = new Map<string, Buffer>();
  for (const name of listXattrs(path)) {
    if (isReserved(name)) continue;
    const value = getXattr(path, name);
    if (value) xattrs.set(name, value);
  }
  return xattrs;
}
