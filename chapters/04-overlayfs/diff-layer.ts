import { createReadStream, lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { failedPrecondition } from './errors.ts';
import { writeTar, type TarInput } from './tar.ts';
import { tarHeader, type TarHeader } from './tar-header.ts';
import { deviceParts } from './tar-node.ts';
import { isOpaque, isWhiteout, OPAQUE_NAME, WHITEOUT_PREFIX } from './whiteout.ts';
import { getXattr, listXattrs } from './xattr.ts';

/**
 * An upper directory as a layer: the tar that `applyLayer` makes it from again, byte for byte the same while the directory is.
 * overlayfs' marks are written in the tar's spelling; its other private attributes are left out, and so are sockets.
 * Source: OCI image-spec, layer.md, "Representing Changes".
 * @throws StoreError FAILED_PRECONDITION for files of which overlayfs has copied up the metadata alone
 */
export function diffLayer(upper: string): AsyncGenerator<Buffer> {
  return writeTar(entriesOf(upper));
}

function* entriesOf(upper: string): Generator<TarInput> {
  /** The first name of each file that has several. */
  const names = new Map<string, string>();

  function* visit(dir: string): Generator<TarInput> {
    if (dir !== '' && isOpaque(join(upper, dir)))
      yield { header: tarHeader({ name: `${dir}/${OPAQUE_NAME}` }) };
    for (const base of readdirSync(join(upper, dir)).sort()) {
      const name = dir === '' ? base : `${dir}/${base}`;
      const path = join(upper, name);
      const stat = lstatSync(path, { bigint: true });
      if (isWhiteout(lstatSync(path))) {
        const mark = `${WHITEOUT_PREFIX}${base}`;
        yield { header: tarHeader({ name: dir === '' ? mark : `${dir}/${mark}` }) };
        continue;
      }
      const type = typeOf(stat);
      if (!type) continue;
      const inode = `${stat.dev}:${stat.ino}`;
      const first = names.get(inode);
      const header = tarHeader({
        name: type === 'directory' ? `${name}/` : name,
        type: first === undefined ? type : 'link',
        linkname: first ?? (type === 'symlink' ? readlinkSync(path) : ''),
        mode: Number(stat.mode) & 0o7777,
        uid: Number(stat.uid),
        gid: Number(stat.gid),
        mtime: stat.mtimeNs,
        size: type === 'file' && first === undefined ? Number(stat.size) : 0,
        ...(type.endsWith('device') && deviceParts(stat.rdev)),
        xattrs: first === undefined ? xattrsOf(path) : new Map(),
      });
      if (stat.nlink > 1n && type !== 'directory' && first === undefined) names.set(inode, name);
      yield header.size > 0 ? { header, body: createReadStream(path) } : { header };
      if (type === 'directory') yield* visit(name);
    }
  }
  yield* visit('');
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
