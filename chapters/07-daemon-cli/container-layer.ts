import { closeSync, constants, existsSync, openSync, statSync } from 'node:fs';
import {
  fdPath,
  mkdirAllInRoot,
  mount,
  MOUNT_ATTR,
  mountSetattr,
  MS,
  O_PATH,
  openInRoot,
  touchInRoot,
} from '../02-namespaces/index.ts';
import { layersOf, openMounts } from '../04-overlayfs/index.ts';
import { containerFiles } from './container-files.ts';
import { isRunning, type ContainerRecord, type MountPoint } from './container.ts';
import type { Daemon } from './daemon.ts';

/**
 * Shows `look` a container's `/` from the host: of one that runs as its first process has it; of another its snapshot, with what would be
 * bound into it, mounted where nobody else sees it. A tmpfs is there while it runs alone. Nothing stays behind.
 * @param look gets a path with a slash at its end; what it leads to ends with the call
 */
export async function withRoot<T>(
  daemon: Daemon,
  record: ContainerRecord,
  look: (root: string) => Promise<T>,
): Promise<T> {
  if (isRunning(record) && record.state.pid > 0) return look(`/proc/${record.state.pid}/root/`);
  const { mounts } = await daemon.containerd.snapshots.mounts({
    snapshotter: daemon.containerd.snapshotter,
    key: record.id,
  });
  const handle = openMounts(mounts, (root) => bindAll(root, boundInto(daemon, record)));
  try {
    return await look(`${fdPath(handle)}/`);
  } finally {
    closeSync(handle);
  }
}

type Bind = Pick<MountPoint, 'source' | 'destination' | 'writable'>;

/** Volumes and directories of the host, from the outside in; at last the files that the daemon has written for a run. */
function boundInto({ containers }: Daemon, { id, mounts }: ContainerRecord): Bind[] {
  const depth = ({ destination }: Bind): number => destination.split('/').length;
  const { hosts, hostname, resolvConf } = containerFiles(containers.directory(id));
  const own = { '/etc/hosts': hosts, '/etc/hostname': hostname, '/etc/resolv.conf': resolvConf };
  const files = Object.entries(own)
    .filter(([, source]) => existsSync(source))
    .map(([destination, source]) => ({ source, destination, writable: true }));
  return [...[...mounts].sort((a, b) => depth(a) - depth(b)), ...files];
}

/**
 * Binds each at its place inside a root, which is made where it is missing.
 * @throws SyscallError, Error naming a source that is not there
 */
function bindAll(root: string, binds: readonly Bind[]): void {
  const rootFd = openSync(root, O_PATH | constants.O_DIRECTORY);
  try {
    for (const { source, destination, writable } of binds) {
      const isDirectory = statSync(source).isDirectory();
      const place = isDirectory ? mkdirAllInRoot(rootFd, destination) : touchInRoot(rootFd, destination);
      try {
        mount({ source, target: fdPath(place), flags: MS.BIND | MS.REC });
      } finally {
        closeSync(place);
      }
      // Opened once more, it is the new mount.
      const bound = openInRoot(rootFd, destination);
      try {
        const set = writable ? 0 : MOUNT_ATTR.RDONLY;
        mountSetattr(bound, { set, propagation: MS.PRIVATE, recursive: true });
      } finally {
        closeSync(bound);
      }
    }
  } finally {
    closeSync(rootFd);
  }
}

/** The same of a container's own files alone, read only: without what is mounted over them while it runs. */
export async function withOwnFiles<T>(
  { containerd }: Daemon,
  { id }: ContainerRecord,
  look: (root: string) => Promise<T>,
): Promise<T> {
  const { mounts } = await containerd.snapshots.mounts({ snapshotter: containerd.snapshotter, key: id });
  const { upper, lowers } = layersOf(mounts);
  const layers = [upper, ...lowers];
  const handle = openMounts([
    layers.length === 1
      ? { type: 'bind', source: upper, options: ['ro', 'rbind'] }
      : { type: 'overlay', source: 'overlay', options: [`lowerdir=${layers.join(':')}`] },
  ]);
  try {
    return await look(`${fdPath(handle)}/`);
  } finally {
    closeSync(handle);
  }
}

/** Does something while a container's processes stand still, so that what is read of its files belongs together. */
export async function whileFrozen<T>(
  { containerd }: Daemon,
  record: ContainerRecord,
  freeze: boolean,
  work: () => Promise<T>,
): Promise<T> {
  if (!freeze || record.state.status !== 'running') return work();
  await containerd.tasks.pause({ containerId: record.id });
  try {
    return await work();
  } finally {
    await containerd.tasks.resume({ containerId: record.id });
  }
}
