import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ifAlive, isErrno, readMountinfo, type MountInfo } from '../01-processes/index.ts';
import { isController, type Controller } from './controllers.ts';

/** One mounted tree of cgroups v1. */
export interface Hierarchy {
  /** Where it is mounted: `/sys/fs/cgroup/cpu,cpuacct`. */
  mountPoint: string;
  /** The controllers that share this tree; none in a named one. */
  controllers: Controller[];
  /** The name of a tree that only groups processes: `systemd`. */
  name?: string;
}

/**
 * How this machine shows its cgroups. `v1`: a tree for each controller. `v2`: one tree for all. `hybrid`: v1 trees for the
 * controllers, and beside them a v2 tree that has none, for grouping.
 */
export interface CgroupHost {
  layout: 'v1' | 'v2' | 'hybrid';
  /** The trees of v1; empty on v2. */
  hierarchies: Hierarchy[];
  /** Where the tree of v2 is mounted. */
  unified?: string;
  /** Every controller that a limit can ask for. */
  controllers: Controller[];
}

/**
 * Asks the kernel, by the mounts that this process sees, how cgroups are laid out here. A mount that another one hides does not count.
 * @throws Error when no cgroup file system is mounted
 */
export function detectCgroups(): CgroupHost {
  const mounts = readMountinfo()!.filter((mount) => mount.type.startsWith('cgroup') && isVisible(mount));
  return layoutOf(mounts, (unified) =>
    ifAlive(() => readFileSync(join(unified, 'cgroup.controllers'), 'utf8').split(/\s+/).filter(Boolean)),
  );
}

/**
 * The layout that these mounts make.
 * @param controllersOf what `cgroup.controllers` at the top of a v2 tree lists
 */
export function layoutOf(
  mounts: readonly MountInfo[],
  controllersOf: (unified: string) => string[] | undefined,
): CgroupHost {
  //#gap 03.1 layoutOf
  const hierarchies: Hierarchy[] = [];
  for (const mount of mounts.filter(({ type }) => type === 'cgroup')) {
    const controllers = mount.superOptions.filter(isController);
    const name = mount.superOptions.find((option) => option.startsWith('name='))?.slice('name='.length);
    // The same tree may be mounted twice: the first mount is enough.
    const key = (h: Hierarchy): string => `${h.controllers.join()}:${h.name ?? ''}`;
    const hierarchy = { mountPoint: mount.mountPoint, controllers, ...(name && { name }) };
    if (!hierarchies.some((known) => key(known) === key(hierarchy))) hierarchies.push(hierarchy);
  }
  const unified = mounts.find(({ type }) => type === 'cgroup2')?.mountPoint;
  if (hierarchies.some(({ controllers }) => controllers.length > 0))
    return {
      layout: unified ? 'hybrid' : 'v1',
      hierarchies,
      controllers: hierarchies.flatMap(({ controllers }) => controllers),
      ...(unified && { unified }),
    };
  if (unified)
    return {
      layout: 'v2',
      hierarchies: [],
      controllers: (controllersOf(unified) ?? []).filter(isController),
      unified,
    };
  //#end
  throw new Error('no cgroup file system is mounted: on most machines systemd mounts it at /sys/fs/cgroup');
}

/** Whether the path of a mount still leads to it, and not to something mounted over it. */
function isVisible(mount: MountInfo): boolean {
  try {
    const { dev } = statSync(mount.mountPoint, { bigint: true });
    // makedev(3): the minor number's low byte stands lowest, then twelve bits of the major one.
    const major = (dev >> 8n) & 0xfffn;
    const minor = (dev & 0xffn) | ((dev >> 12n) & 0xfff00n);
    return `${major}:${minor}` === mount.device;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return false;
    throw error;
  }
}
