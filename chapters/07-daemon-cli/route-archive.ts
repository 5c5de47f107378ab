import { closeSync, constants, lstatSync, openSync, type Stats } from 'node:fs';
import { posix } from 'node:path';
import { isErrno } from '../01-processes/index.ts';
import { fdPath, O_PATH, openInRoot } from '../02-namespaces/index.ts';
import { applyLayer, isStoreError, treeEntries, writeTar } from '../04-overlayfs/index.ts';
import { ApiError, badParameter, notFound } from './api-error.ts';
import { flag, send, type Call } from './call.ts';
import { tell } from './container-events.ts';
import { withOwnFiles, withRoot } from './container-layer.ts';
import { tmpfsMounts } from './container-mounts.ts';
import { isRunning, type ContainerRecord } from './container.ts';
import type { Daemon } from './daemon.ts';
import { resolveInRoot } from './in-root.ts';
import { explain } from './log.ts';
import type { Route } from './router.ts';

/** `docker cp` and `docker export`: a container's files as a tar, and a tar into them. */
export const archiveRoutes: readonly Route[] = [
  ['HEAD', '/containers/{name}/archive', stat],
  ['GET', '/containers/{name}/archive', copyOut],
  ['PUT', '/containers/{name}/archive', copyIn],
  ['GET', '/containers/{name}/export', exportRoot],
];

/** A path inside a container, found: a handle of the directory that holds it, and its name there. */
interface Found {
  /** Of a link: where it leads in the end, absolute, inside the container. Otherwise empty. */
  linkTarget: string;
  /** `/proc/self/fd/N/NAME` */
  path: string;
  name: string;
  stat: Stats;
  close(): void;
}

/** Follows links on the way, inside the container alone, but not one that the path itself is. @throws ApiError 404 */
function lookUp(root: string, asked: string, containerName: string): Found {
  const missing = (): Error => notFound(`Could not find the file ${asked} in container ${containerName}`);
  const path = posix.resolve('/', asked);
  const rootFd = openSync(root, O_PATH | constants.O_DIRECTORY);
  try {
    const name = posix.basename(path) || '.';
    const parent = openInRoot(rootFd, posix.dirname(path), { flags: O_PATH | constants.O_DIRECTORY });
    const at = fdPath(parent, name);
    const stat = lstatSync(at, { throwIfNoEntry: false });
    if (!stat || (asked.endsWith('/') && !stat.isDirectory() && !stat.isSymbolicLink())) {
      closeSync(parent);
      throw missing();
    }
    const linkTarget = stat.isSymbolicLink() ? resolveInRoot(rootFd, path) : '';
    // `dir/.` is the directory's content, under no name of its own.
    const shown = /(^|\/)\.$/.test(asked) ? '.' : name === '.' ? '/' : name;
    return { linkTarget, path: at, name: shown, stat, close: () => closeSync(parent) };
  } catch (error) {
    throw isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP') ? missing() : error;
  } finally {
    closeSync(rootFd);
  }
}

const pathOf = ({ query }: Call): string => {
  const path = query.get('path') ?? '';
  if (path === '') throw badParameter('archive: which path? give path=PATH');
  if (path.includes('\0')) throw badParameter('archive: a path has no zero bytes');
  return path;
};

/** Go's os.FileMode: the type's bits are not the kernel's. */
function goMode(stat: Stats): number {
  const type = stat.isDirectory()
    ? 2 ** 31
    : stat.isSymbolicLink()
      ? 2 ** 27
      : stat.isCharacterDevice()
        ? 2 ** 26 + 2 ** 21
        : stat.isBlockDevice()
          ? 2 ** 26
          : stat.isFIFO()
            ? 2 ** 25
            : stat.isSocket()
              ? 2 ** 24
              : 0;
  const special =
    (stat.mode & 0o4000 ? 2 ** 23 : 0) +
    (stat.mode & 0o2000 ? 2 ** 22 : 0) +
    (stat.mode & 0o1000 ? 2 ** 20 : 0);
  return type + special + (stat.mode & 0o777);
}

const statHeader = ({ linkTarget, name, stat }: Found): Record<string, string> => ({
  'X-Docker-Container-Path-Stat': Buffer.from(
    JSON.stringify({
      name,
      size: stat.size,
      mode: goMode(stat),
      mtime: stat.mtime.toISOString(),
      linkTarget,
    }),
  ).toString('base64'),
});

async function stat(daemon: Daemon, call: Call): Promise<void> {
  const record = daemon.containers.find(call.params['name']!);
  const path = pathOf(call);
  await withRoot(daemon, record, async (root) => {
    const found = lookUp(root, path, record.name);
    found.close();
    call.stream(200, 'application/octet-stream', statHeader(found)).end();
  });
}

async function copyOut(daemon: Daemon, call: Call): Promise<void> {
  const record = daemon.containers.find(call.params['name']!);
  const path = pathOf(call);
  await withRoot(daemon, record, async (root) => {
    const found = lookUp(root, path, record.name);
    try {
      const answer = call.stream(200, 'application/x-tar', statHeader(found));
      const name = found.name === '/' ? '.' : found.name;
      await send(answer, writeTar(treeEntries(found.path, name)), call.gone);
    } finally {
      found.close();
    }
    tell(daemon, record, 'archive-path');
  });
}

async function exportRoot(daemon: Daemon, call: Call): Promise<void> {
  const record = daemon.containers.find(call.params['name']!);
  await withOwnFiles(daemon, record, async (root) => {
    await send(call.stream(200, 'application/octet-stream'), writeTar(treeEntries(root, '')), call.gone);
    tell(daemon, record, 'export');
  });
}

async function copyIn(daemon: Daemon, call: Call): Promise<void> {
  const record = daemon.containers.find(call.params['name']!);
  const path = pathOf(call);
  const keepKinds = flag(call.query, 'noOverwriteDirNonDir');
  await withRoot(daemon, record, async (root) => {
    const rootFd = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      checkDirectory(rootFd, path, record.name);
      checkWritable(record, resolveInRoot(rootFd, path));
      const below = posix.resolve('/', path).slice(1);
      await applyLayer(call.request, rootFd, { whiteouts: 'keep', below, keepKinds });
    } catch (error) {
      throw isStoreError(error, 'INVALID_ARGUMENT') ? badParameter(explain(error), error) : error;
    } finally {
      closeSync(rootFd);
    }
    call.empty(200);
    tell(daemon, record, 'extract-to-dir');
  });
}

/** @throws ApiError 403 in a volume that is read-only, or in a read-only root outside of all volumes */
function checkWritable(record: ContainerRecord, path: string): void {
  const holds = ({ destination }: { destination: string }): boolean =>
    path === destination || path.startsWith(`${destination}/`);
  const inside = record.mounts.filter(holds).sort((a, b) => b.destination.length - a.destination.length);
  if (inside[0] && !inside[0].writable) throw new ApiError(403, 'mounted volume is marked read-only');
  // While it runs its tmpfs are there.
  const isTmpfs = isRunning(record) && tmpfsMounts(record.hostConfig).some(holds);
  if (!inside[0] && !isTmpfs && record.hostConfig.ReadonlyRootfs)
    throw new ApiError(403, 'container rootfs is marked read-only');
}

/** @throws ApiError 404, or 400 for what is no directory */
function checkDirectory(rootFd: number, path: string, containerName: string): void {
  try {
    closeSync(openInRoot(rootFd, posix.resolve('/', path), { flags: O_PATH | constants.O_DIRECTORY }));
  } catch (error) {
    if (isErrno(error, 'ENOTDIR')) throw badParameter('extraction point is not a directory');
    if (isErrno(error, 'ENOENT', 'ELOOP'))
      throw notFound(`Could not find the file ${path} in container ${containerName}`);
    throw error;
  }
}
