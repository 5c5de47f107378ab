import { createReadStream, lstatSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { failedPrecondition } from './errors.ts';
import { decodeName, fsPath, readNames } from './file-names.ts';
import { writeTar, type TarInput } from './tar.ts';
import { tarHeader, type TarHeader } from './tar-header.ts';
import { deviceParts } from './tar-node.ts';
import { isOpaque, isWhiteout, OPAQUE_NAME, WHITEOUT_PREFIX } from './whiteout.ts';
import { getXattr, listXattrs } from './xattr.ts';

/**
 * A layer made of an upper directory: what `applyLayer` makes it from again, byte for byte the same while the directory is.
 * overlayfs' marks are written in the tar's spelling; its other private attributes are left out, and so are sockets.
 * Source: OCI image-spec, layer.md, "Representing Changes".
 * @throws StoreError FAILED_PRECONDITION for files of which overlayfs has copied up the metadata alone
 */
export function diffLayer(upper: string): AsyncGenerator<Buffer> {
  return writeTar(treeEntries(upper, '', { marks: true }));
}

export interface TreeOptions {
  /** Whether whiteouts and opaque directories are marks, as in an upper directory, or what they are. */
  marks?: boolean;
  /** Whether a link at the top is what it leads to. */
  follow?: boolean;
}

/**
 * A file, or a directory with all in it, as entries of a tar.
 * @param as what the top is called in the tar; empty: its content alone
 */
export function* treeEntries(
  root: string,
  as: string,
  { marks = false, follow = false }: TreeOptions = {},
): Generator<TarInput> {
  /** The first name of each file that has several. */
  const names = new Map<string, string>();

  function* entry(path: string, name: string): Generator<TarInput> {
    const follows = follow && path === root;
    const stat = (follows ? statSync : lstatSync)(fsPath(path), { bigint: true });
    const type = typeOf(stat);
    if (!type) return;
    const inode = `${stat.dev}:${stat.ino}`;
    const first = names.get(inode);
    const header = tarHeader({
      name: type === 'directory' ? `${name}/` : name,
      type: first === undefined ? type : 'link',
      linkname:
        first ?? (type === 'symlink' ? decodeName(readlinkSync(fsPath(path), { encoding: 'buffer' })) : ''),
      mode: Number(stat.mode) & 0o7777,
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      mtime: stat.mtimeNs,
      size: type === 'file' && first === undefined ? Number(stat.size) : 0,
      ...(type.endsWith('device') && deviceParts(stat.rdev)),
      xattrs: first === undefined && !follows ? xattrsOf(path) : new Map(),
    });
    if (stat.nlink > 1n && type !== 'directory' && first === undefined) names.set(inode, name);
    yield header.size > 0 ? { header, body: fileBytes(path, header.size) } : { header };
    if (type === 'directory') yield* content(path, name);
  }

  function* content(dir: string, name: string): Generator<TarInput> {
    const below = (base: string): string => (name === '' ? base : `${name}/${base}`);
    if (marks && name !== '' && isOpaque(dir)) yield { header: tarHeader({ name: below(OPAQUE_NAME) }) };
    for (const base of readNames(dir)) {
      const path = join(dir, base);
      if (marks && isWhiteout(lstatSync(fsPath(path))))
        yield { header: tarHeader({ name: below(`${WHITEOUT_PREFIX}${base}`) }) };
      else yield* entry(path, below(base));
    }
  }
  yield* as === '' ? content(root, '') : entry(root, as);
}

/** A file's bytes, opened each time they are asked for; what it grows by meanwhile is left out. */
function fileBytes(path: string, size: number): AsyncIterable<Uint8Array> {
  const open = (): NodeJS.AsyncIterator<Uint8Array> =>
    createReadStream(fsPath(path), { end: size - 1, highWaterMark: 1 << 18 })[Symbol.asyncIterator]();
  return { [Symbol.asyncIterator]: open };
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
    if (name === 'trusted.overlay.metacopy' || name === 'trusted.overlay.redirect')
      throw failedPrecondition(
        `${path} has ${name}: mount with metacopy=off,redirect_dir=off to make layers`,
      );
    if (name.startsWith('trusted.')) continue;
    const value = getXattr(path, name);
    if (value) xattrs.set(name, value);
  }
  return xattrs;
}
