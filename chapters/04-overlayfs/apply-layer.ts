import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, readlinkSync } from 'node:fs';
import { isErrno } from '../01-processes/index.ts';
import { fdPath, openInRoot } from '../02-namespaces/index.ts';
import { decompress } from './compression.ts';
import type { Digest } from './digest.ts';
import { invalidArgument, quoted, StoreError } from './errors.ts';
import { decodeName, fsPath, readNames } from './file-names.ts';
import { openDirectory, openParent, pathParts } from './in-root.ts';
import { removeTreeSync } from './remove-tree.ts';
import type { Part } from './sparse.ts';
import { readTar } from './tar.ts';
import type { TarHeader } from './tar-header.ts';
import { makeNode, setMetadata, setTime } from './tar-node.ts';
import {
  AUFS_PREFIX,
  lstatIfAny,
  makeOpaque,
  makeWhiteout,
  OPAQUE_NAME,
  WHITEOUT_PREFIX,
} from './whiteout.ts';

export interface ApplyOptions {
  /**
   * What becomes of a `.wh.` entry. `remove` (the default): what it names is removed, as when `dir` shows the layers below;
   * `overlay`: it becomes overlayfs' own mark, as when `dir` is one layer by itself; `keep`: it is a file like any other, as in a tar
   * that is no layer.
   */
  whiteouts?: Whiteouts;
  /** A directory inside `dir` that names are below; links are still resolved as if `dir` were `/`. */
  below?: string;
  /** A directory is never replaced by something else, nor the reverse. */
  keepKinds?: boolean;
}

type Whiteouts = 'remove' | 'overlay' | 'keep';

export interface AppliedLayer {
  /** The digest of the tar, uncompressed: what the image's configuration calls the layer. */
  diffId: Digest;
  /** bytes of all files */
  size: number;
  /** What was left out, one line each: extended attributes that the filesystem, or caution, does not take. */
  ignored: string[];
}

/** One layer being applied. */
interface Target {
  /** A handle of the directory that becomes `/`. */
  root: number;
  whiteouts: Whiteouts;
  below: string;
  keepKinds: boolean;
  /** What this layer itself has put there, by real path: an opaque mark in the same layer spares it. */
  placed: Set<string>;
  ignored: string[];
}

/**
 * Unpacks a layer, a tar or a gzip of one, into a directory: files, hard and symbolic links, devices, fifos, with modes,
 * owners, times and extended attributes. No name and no link in it can reach out of the directory.
 * @param dir its path, or a handle of it (`openMounts`)
 * Source: OCI image-spec, layer.md; containerd, archive/tar.go.
 * @throws StoreError INVALID_ARGUMENT for what is refused (the directory is then half unpacked: throw it away);
 * Error that names the entry, with the SyscallError as its cause
 */
export async function applyLayer(
  layer: AsyncIterable<Uint8Array>,
  dir: string | number,
  options: ApplyOptions = {},
): Promise<AppliedLayer> {
  const root = typeof dir === 'number' ? dir : openDirectory(dir);
  const target: Target = {
    root,
    whiteouts: options.whiteouts ?? 'remove',
    below: options.below ?? '',
    keepKinds: options.keepKinds ?? false,
    placed: new Set(),
    ignored: [],
  };
  const hash = createHash('sha256');
  /** A directory's time changes with what is put into it: set when all is there. */
  const directories: TarHeader[] = [];
  let size = 0;
  try {
    for await (const { header: own, parts } of readTar(tee(decompress(layer), hash))) {
      const header = placed(target, own);
      try {
        await applyEntry(target, header, parts);
      } catch (error) {
        throw inEntry(header.name, error);
      }
      if (header.type === 'directory') directories.push(header);
      size += header.size;
    }
    for (const header of directories) setDirectoryTime(root, header);
  } finally {
    if (typeof dir !== 'number') closeSync(root);
  }
  return { diffId: `sha256:${hash.digest('hex')}`, size, ignored: target.ignored };
}

/** An entry as it is below the directory that was given. @throws StoreError INVALID_ARGUMENT for one that climbs */
function placed({ below }: Target, header: TarHeader): TarHeader {
  if (below === '') return header;
  const under = (name: string): string => `${below}/${pathParts(name).join('/')}`;
  return {
    ...header,
    name: under(header.name),
    linkname: header.type === 'link' ? under(header.linkname) : header.linkname,
  };
}

/** The same error, told of an entry. */
function inEntry(name: string, error: unknown): Error {
  const message = `layer entry ${quoted(name)}: ${error instanceof Error ? error.message : String(error)}`;
  return error instanceof StoreError
    ? new StoreError(error.code, message, { cause: error })
    : new Error(message, { cause: error });
}

async function* tee(
  source: AsyncIterable<Uint8Array>,
  hash: { update(data: Uint8Array): unknown },
): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
}

async function applyEntry(target: Target, header: TarHeader, bytes: AsyncIterable<Part>): Promise<void> {
  const parts = pathParts(header.name);
  const isLayer = target.whiteouts !== 'keep';
  if (isLayer && parts.some((part) => part.startsWith(AUFS_PREFIX) && part !== OPAQUE_NAME)) return;
  const name = parts.pop();
  if (name === undefined) {
    if (header.type === 'directory') setMetadata(fdPath(target.root, '.'), header, target.ignored);
    return;
  }
  if (isLayer && name.startsWith(WHITEOUT_PREFIX)) return applyWhiteout(target, parts, name);

  //#region entry
  const parent = openParent(target.root, parts, true)!;
  try {
    const path = fdPath(parent, name);
    const existing = lstatIfAny(path);
    const keeps = existing?.isDirectory() && header.type === 'directory';
    if (target.keepKinds && existing && existing.isDirectory() !== (header.type === 'directory'))
      throw invalidArgument(
        `cannot overwrite ${existing.isDirectory() ? 'a directory with a non-directory' : 'a non-directory with a directory'}`,
      );
    if (existing && !keeps) removeTreeSync(path);
    if (header.type === 'link') {
      const { link, close } = openLinkTarget(target.root, header.linkname);
      try {
        await makeNode(path, { ...header, linkname: link }, bytes);
      } finally {
        close();
      }
    } else {
      if (!keeps) await makeNode(path, header, bytes);
      setMetadata(path, header, target.ignored);
    }
    target.placed.add(realPath(parent, name));
  } finally {
    closeSync(parent);
  }
  //#endregion
}

/** The entry that a hard link is another name of: a path that link(2) takes without following what it finds there. */
function openLinkTarget(root: number, linkname: string): { link: string; close: () => void } {
  const parts = pathParts(linkname);
  const name = parts.pop();
  const parent = openParent(root, parts, false);
  if (name === undefined || parent === undefined)
    throw invalidArgument(`a hard link to ${JSON.stringify(linkname)}, which is not in the layer`);
  return { link: fdPath(parent, name), close: () => closeSync(parent) };
}

function applyWhiteout(target: Target, parts: string[], name: string): void {
  const gone = name.slice(WHITEOUT_PREFIX.length);
  if (gone === '' || gone === '.' || gone === '..')
    throw invalidArgument('a whiteout of the directory itself, or of the one above: refused');
  const overlay = target.whiteouts === 'overlay';
  const parent = openParent(target.root, parts, overlay);
  if (parent === undefined) return; // nothing there to be deleted
  try {
    if (name === OPAQUE_NAME) {
      if (overlay) makeOpaque(fdPath(parent, '.'));
      else removeOthers(parent, target.placed);
      return;
    }
    removeTreeSync(fdPath(parent, gone));
    if (overlay) makeWhiteout(fdPath(parent, gone));
  } finally {
    closeSync(parent);
  }
}

/** Empties a directory but for what this layer has put there already. */
function removeOthers(parent: number, placed: ReadonlySet<string>): void {
  for (const name of readNames(fdPath(parent, '.'))) {
    const path = realPath(parent, name);
    if (placed.has(path)) continue;
    if (![...placed].some((other) => other.startsWith(`${path}/`))) removeTreeSync(fdPath(parent, name));
  }
}

/** The name that the kernel knows something by, whichever links led to it. */
const realPath = (parent: number, name: string): string =>
  `${decodeName(readlinkSync(fdPath(parent), { encoding: 'buffer' }))}/${name}`;

function setDirectoryTime(root: number, header: TarHeader): void {
  let fd: number;
  try {
    const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
    fd = openInRoot(root, fsPath(pathParts(header.name).join('/')), { flags });
  } catch (error) {
    // A later entry has put something else there.
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return;
    throw error;
  }
  try {
    if (fstatSync(fd).isDirectory()) setTime(fdPath(fd, '.'), header.mtime);
  } finally {
    closeSync(fd);
  }
}
