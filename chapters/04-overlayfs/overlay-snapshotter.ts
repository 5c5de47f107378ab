import { existsSync, readFileSync } from 'node:fs';
import { chmod, chown, mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { diskUsage } from './disk-usage.ts';
import { invalidArgument } from './errors.ts';
import type { Mount } from './mounts.ts';
import { removeTree } from './remove-tree.ts';
import { openSnapshots, type SnapshotFiles } from './snapshot-store.ts';
import type { SnapshotKind, Snapshotter } from './snapshotter.ts';

/**
 * Snapshots as overlayfs layers: `snapshots/ID/fs` holds what one has changed, `snapshots/ID/work` is overlayfs' own place. Nothing is
 * copied until it is written to.
 * @param dir an absolute path
 * @throws StoreError as openSnapshots; INVALID_ARGUMENT for a path that overlayfs cannot be told
 */
export async function overlayfsSnapshotter(dir: string): Promise<Snapshotter> {
  if (/[,:\\]/.test(dir))
    throw invalidArgument(`${JSON.stringify(dir)}: the options of overlayfs take no path with , : or \\`);
  return openSnapshots(dir, OVERLAYFS);
}

const OVERLAYFS: SnapshotFiles = {
  name: 'overlayfs',
  make: async (folder, parent) => {
    await makeFs(folder, parent);
    await mkdir(join(folder, 'work'), { mode: 0o711 });
  },
  mounts: (kind, folder, parents) =>
    snapshotMounts({
      kind,
      fs: join(folder, 'fs'),
      work: join(folder, 'work'),
      lower: parents.map((parent) => join(parent, 'fs')),
    }).map((mount) =>
      mount.type === 'overlay' ? { ...mount, options: [...machineOptions(), ...mount.options] } : mount,
    ),
  remove: removeTree,
  usage: (folder) => diskUsage(join(folder, 'fs')),
};

/**
 * What overlayfs has to be told on this machine. Asked for at each mount: the module may be loaded by the first.
 * - index=off: with an index, a write to one name of a file changes its other names, of which the upper directory then has nothing. A
 *   layer made of that directory would be another tree than the container saw. Docker and containerd turn it off too.
 * - userxattr: in a user namespace `trusted.*` is out of reach, and overlayfs keeps its marks as `user.overlay.*`.
 */
export function machineOptions(): string[] {
  return [
    ...(existsSync('/sys/module/overlay/parameters/index') ? ['index=off'] : []),
    ...(inUserNamespace() ? ['userxattr'] : []),
  ];
}

/** Whether the calling process is in another user namespace than the machine's first. user_namespaces(7) */
const inUserNamespace = (): boolean =>
  readFileSync('/proc/self/uid_map', 'utf8').trim().split(/\s+/).join() !== '0,0,4294967295';

/**
 * How a snapshot is mounted, in containerd's words: one directory by a bind mount, more by an overlay.
 * @param lower the directories below, the nearest first
 */
export function snapshotMounts({
  kind,
  fs,
  work,
  lower,
}: {
  kind: SnapshotKind;
  fs: string;
  work: string;
  lower: readonly string[];
}): Mount[] {
  //#gap 04.4 snapshotMounts
  const writable = kind === 'active';
  // What is stacked: a view has an empty directory of its own, and shows its parents alone.
  const layers = writable || lower.length === 0 ? [fs, ...lower] : lower;
  if (layers.length === 1)
    return [{ type: 'bind', source: layers[0]!, options: [writable ? 'rw' : 'ro', 'rbind'] }];
  const options = [`lowerdir=${lower.join(':')}`];
  if (writable) options.unshift(`workdir=${work}`, `upperdir=${fs}`);
  return [{ type: 'overlay', source: 'overlay', options }];
  //#end
}

/** An empty directory that looks like the parent's root: the container's `/` has the upper directory's owner and mode. */
export async function makeFs(folder: string, parent: string | undefined): Promise<void> {
  const fs = join(folder, 'fs');
  await mkdir(fs);
  const { uid, gid, mode } = parent ? await stat(join(parent, 'fs')) : { uid: 0, gid: 0, mode: 0o755 };
  await chown(fs, uid, gid);
  await chmod(fs, mode & 0o7777);
}
