import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { posix } from 'node:path';
import { fdPath, O_PATH, openInRoot, openInRootIfThere } from '../02-namespaces/index.ts';
import { treeEntries } from './diff-layer.ts';
import { invalidArgument } from './errors.ts';
import { fsPath, readNames } from './file-names.ts';
import { glob } from './glob.ts';
import type { TarInput } from './tar.ts';

/** What COPY copies: found in a folder (the context, or another stage's files), and where it goes. */
export interface CopyRequest {
  /** The folder that sources are in, or a handle's path. Nothing outside it is read, whatever links say. */
  root: string;
  /** Paths and patterns; or a file in a folder of its own, as one that was downloaded is. */
  sources: readonly (string | { root: string; path: string })[];
  /** Absolute. With a slash at its end it is a directory in any case. */
  destination: string;
  /** Whether the destination is a directory in the image already. */
  intoDirectory: boolean;
  /** Whose the copies are; without it files keep their owners. */
  owner?: { uid: number; gid: number } | undefined;
  /** Permission bits for all of them. */
  mode?: number | undefined;
  /** What messages call it: `COPY` unless told. */
  instruction?: string;
}

/** Copies to be made: entries of a tar that are named from the image's root. */
export interface Copies {
  entries: TarInput[];
  /** Lets go of the sources. */
  close(): void;
}

/**
 * Finds what COPY is to copy. Of a directory the content is copied, not the directory; several sources need a directory to go to.
 * Source: Dockerfile reference, COPY.
 * @throws StoreError INVALID_ARGUMENT in Docker's words
 */
export function findCopies({
  root,
  sources,
  destination,
  intoDirectory,
  owner,
  mode,
  instruction = 'COPY',
}: CopyRequest): Copies {
  const rootFd = openSync(root, O_PATH | constants.O_DIRECTORY);
  const handles = [rootFd];
  const close = (): void => handles.splice(0).forEach((fd) => closeSync(fd));
  try {
    const found = sources.flatMap((source) => {
      if (typeof source === 'string')
        return matching(rootFd, source, instruction).map((path) => ({ from: rootFd, path }));
      const from = openSync(source.root, O_PATH | constants.O_DIRECTORY);
      handles.push(from);
      return [{ from, path: source.path }];
    });
    const isDirectory = destination.endsWith('/') || intoDirectory;
    if (found.length > 1 && !destination.endsWith('/'))
      throw invalidArgument(
        `When using ${instruction} with more than one source file, the destination must be a directory and end with a /`,
      );
    const place = posix.resolve('/', destination).slice(1);
    const entries = found.flatMap(({ from, path }) => {
      const fd = openInRoot(from, fsPath(path), { flags: O_PATH });
      handles.push(fd);
      if (fstatSync(fd).isDirectory())
        return [...treeEntries(fdPath(fd, '.'), '')].map((entry) => below(place, entry));
      const name = isDirectory ? posix.join(place, posix.basename(path)) : place;
      return [...treeEntries(fdPath(fd), name, { follow: true })];
    });
    return {
      close,
      entries: entries.map(({ header, ...rest }) => ({
        ...rest,
        header: { ...header, ...owner, ...(mode !== undefined && header.type !== 'symlink' && { mode }) },
      })),
    };
  } catch (error) {
    close();
    throw error;
  }
}

function below(place: string, { header, ...rest }: TarInput): TarInput {
  if (place === '') return { header, ...rest };
  const linkname = header.type === 'link' ? `${place}/${header.linkname}` : header.linkname;
  return { ...rest, header: { ...header, name: `${place}/${header.name}`, linkname } };
}

/** The paths below a root that a pattern means. @throws StoreError INVALID_ARGUMENT when there are none */
function matching(rootFd: number, source: string, instruction: string): string[] {
  const parts = posix.resolve('/', source).split('/').filter(Boolean);
  let found = [''];
  for (const part of parts) {
    const isPattern = /[*?[]/.test(part);
    found = found.flatMap((dir) => {
      const names = isPattern ? namesIn(rootFd, dir).filter(glob(part)) : [part];
      return names.map((name) => posix.join(dir, name)).filter((path) => isThere(rootFd, path));
    });
  }
  if (found.length === 0)
    throw invalidArgument(
      `${instruction} failed: ${/[*?[]/.test(source) ? 'no source files were specified' : `file not found in build context or excluded by .dockerignore: stat ${source}: file does not exist`}`,
    );
  return found.sort();
}

function isThere(rootFd: number, path: string): boolean {
  const fd = openInRootIfThere(rootFd, fsPath(path), { flags: O_PATH });
  if (fd !== undefined) closeSync(fd);
  return fd !== undefined;
}

function namesIn(rootFd: number, dir: string): string[] {
  const fd = openInRootIfThere(rootFd, fsPath(dir || '.'), { flags: O_PATH | constants.O_DIRECTORY });
  if (fd === undefined) return [];
  try {
    return readNames(fdPath(fd, '.'));
  } finally {
    closeSync(fd);
  }
}

/**
 * What the copies are, as one digest: names, owners, modes and bytes, but not times, so that a fresh checkout of the same files is the
 * same to the cache. Docker's tarsum leaves them out, too.
 */
export async function digestOfCopies({ entries }: Copies): Promise<string> {
  //#gap 04.8 digestOfCopies
  const hash = createHash('sha256');
  for (const { header, body = [] } of entries) {
    const { name, type, mode, uid, gid, size, linkname, major, minor, xattrs } = header;
    const attributes = [...xattrs].map(([key, value]) => [key, value.toString('hex')]).sort();
    hash.update(
      `${JSON.stringify([name, type, mode, uid, gid, size, linkname, major, minor, attributes])}\n`,
    );
    for await (const chunk of body instanceof Uint8Array ? [body] : body) hash.update(chunk);
  }
  return hash.digest('hex');
  //#end
}
