import type { ContainerdClient } from '../06-shim-containerd/index.ts';

/** The ways to keep layers: Docker's names, and containerd's of the same. */
export const STORAGE_DRIVERS = { overlay2: 'overlayfs', vfs: 'native', btrfs: 'btrfs' } as const;
export type StorageDriver = keyof typeof STORAGE_DRIVERS;

export const isStorageDriver = (name: string): name is StorageDriver => Object.hasOwn(STORAGE_DRIVERS, name);

/** containerd, and by which of its snapshotters this engine's layers and containers are kept. */
export type EngineContainerd = ContainerdClient & { readonly snapshotter: string };

/**
 * The driver of a data root: the one that it was made with, for others know nothing of its images.
 * @throws Error when another is asked for
 */
export function chooseStorageDriver(
  dataRoot: string,
  asked: StorageDriver | undefined,
  before: StorageDriver | undefined,
): StorageDriver {
  if (asked !== undefined && before !== undefined && asked !== before)
    throw new Error(
      `--storage-driver ${asked}: ${dataRoot} was made with ${before}: go on with that, or give another --data-root`,
    );
  return asked ?? before ?? 'overlay2';
}

/** @throws Error with containerd's reason when it has no such snapshotter */
export async function checkStorageDriver(containerd: EngineContainerd, driver: StorageDriver): Promise<void> {
  const { snapshotter } = containerd;
  const filter = `type==io.containerd.snapshotter.v1,id==${snapshotter}`;
  const { plugins } = await containerd.introspection.plugins({ filters: [filter] });
  const [plugin] = plugins;
  if (plugin && !plugin.initErr) return;
  const why = plugin?.initErr?.message.replace(/: skip plugin$/, '') ?? 'containerd has no such snapshotter';
  throw new Error(`--storage-driver ${driver}: snapshotter ${snapshotter}: ${why}`);
}
