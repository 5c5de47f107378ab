import { closeSync } from 'node:fs';
import { fdPath } from '../02-namespaces/index.ts';
import { layersOf, openMounts } from '../04-overlayfs/index.ts';
import type { ContainerRecord } from './container.ts';
import { isRunning } from './container.ts';
import type { Daemon } from './daemon.ts';
import { SNAPSHOTTER } from './images.ts';

/**
 * Shows `look` a container's `/` from the host: of one that runs as its first process has it, volumes and all; of another its snapshot,
 * mounted where nobody else sees it. Nothing stays behind.
 * @param look gets a path with a slash at its end; what it leads to ends with the call
 */
export async function withRoot<T>(
  daemon: Daemon,
  record: ContainerRecord,
  look: (root: string) => Promise<T>,
): Promise<T> {
  if (isRunning(record) && record.state.pid > 0) return look(`/proc/${record.state.pid}/root/`);
  const { mounts } = await daemon.containerd.snapshots.mounts({ snapshotter: SNAPSHOTTER, key: record.id });
  const handle = openMounts(mounts);
  try {
    return await look(`${fdPath(handle)}/`);
  } finally {
    closeSync(handle);
  }
}

/** The same of a container's own files alone, read only: without what is mounted over them while it runs. */
export async function withOwnFiles<T>(
  { containerd }: Daemon,
  { id }: ContainerRecord,
  look: (root: string) => Promise<T>,
): Promise<T> {
  const { mounts } = await containerd.snapshots.mounts({ snapshotter: SNAPSHOTTER, key: id });
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
