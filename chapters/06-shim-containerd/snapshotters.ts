import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  btrfsSnapshotter,
  checkBtrfs,
  nativeSnapshotter,
  overlayfsSnapshotter,
  type Snapshotter,
} from '../04-overlayfs/index.ts';
import { GrpcError } from './grpc-errors.ts';

/** The ways to keep layers, by containerd's names, each in a folder of its own. */
const KINDS: Readonly<
  Record<
    string,
    { folder: string; open: (dir: string) => Promise<Snapshotter>; check?: (dir: string) => void }
  >
> = {
  overlayfs: { folder: 'snapshots', open: overlayfsSnapshotter },
  native: { folder: 'snapshots-native', open: nativeSnapshotter },
  btrfs: { folder: 'snapshots-btrfs', open: btrfsSnapshotter, check: checkBtrfs },
};

export const SNAPSHOTTERS = Object.keys(KINDS);

/** Why a snapshotter cannot work below `dir`; `undefined` where it can. */
export function obstacleOf(name: string, dir: string): string | undefined {
  try {
    KINDS[name]!.check?.(dir);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** The snapshotters of one namespace. */
export interface Snapshotters {
  /** Opened when it is first asked for. @throws GrpcError InvalidArgument for one that is not there, with the reason */
  get(name: string): Promise<Snapshotter>;
  /** Those that have been used, now or before. */
  used(): Promise<Map<string, Snapshotter>>;
  close(): Promise<void>;
}

/** @param dir of the namespace */
export function openSnapshotters(dir: string): Snapshotters {
  const opened = new Map<string, Promise<Snapshotter>>();
  const get = async (name: string): Promise<Snapshotter> => {
    const kind = Object.hasOwn(KINDS, name) ? KINDS[name]! : undefined;
    const why = kind ? obstacleOf(name, dir) : `${SNAPSHOTTERS.join(', ')} are there`;
    if (!kind || why !== undefined)
      throw new GrpcError('InvalidArgument', `snapshotter not loaded: ${name}: ${why}`);
    let opening = opened.get(name);
    if (!opening) {
      opening = kind.open(join(dir, kind.folder));
      opened.set(name, opening);
      opening.catch(() => opened.delete(name));
    }
    return opening;
  };
  return {
    get,
    used: async () => {
      const names = SNAPSHOTTERS.filter(
        (name) => existsSync(join(dir, KINDS[name]!.folder)) && obstacleOf(name, dir) === undefined,
      );
      return new Map(await Promise.all(names.map(async (name) => [name, await get(name)] as const)));
    },
    close: async () => {
      for (const opening of opened.values()) await (await opening).close();
      opened.clear();
    },
  };
}
