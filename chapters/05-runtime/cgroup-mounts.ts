import { symlinkSync } from 'node:fs';
import { basename, join, posix } from 'node:path';
import { readCgroups, readMountinfo, type MountInfo } from '../01-processes/index.ts';
import {
  fdPath,
  mkdirAllInRoot,
  mount as mountCall,
  MOUNT_ATTR,
  mountSetattr,
  MS,
  openInRoot,
  openTree,
  type ParsedMountOptions,
} from '../02-namespaces/index.ts';
import { cgroupHost } from './cgroup-host.ts';
import type { MountContext } from './mounts.ts';
import { attach, using } from './attach.ts';
import { setAttributes } from './mount-attributes.ts';

/** One hierarchy of cgroups: where the host has it mounted, and where this process is in it. */
export interface CgroupPlace {
  version: 1 | 2;
  /** The host's mount point: `/sys/fs/cgroup/memory`. */
  mountPoint: string;
  /** v1: `memory`, or `name=systemd`. v2: none. */
  controllers: string[];
  /** This process's own cgroup, as a directory on the host. */
  directory: string;
}

/** Where this process is. To be asked before a cgroup namespace is made: inside, every path is `/`. */
export function cgroupPlaces(): CgroupPlace[] {
  const memberships = readCgroups('self') ?? [];
  const { hierarchies, unified } = cgroupHost();
  const mounts = readMountinfo() ?? [];
  const trees = [
    ...hierarchies.map(({ mountPoint, controllers, name }) => ({
      version: 1 as const,
      mountPoint,
      controllers: name === undefined ? [...controllers] : [...controllers, `name=${name}`],
    })),
    ...(unified === undefined ? [] : [{ version: 2 as const, mountPoint: unified, controllers: [] }]),
  ];
  return trees.flatMap((tree) => {
    const found = memberships.find(({ hierarchy, controllers }) =>
      tree.version === 2
        ? hierarchy === 0
        : hierarchy !== 0 && tree.controllers.every((name: string) => controllers.includes(name)),
    );
    return found ? [{ ...tree, directory: directoryOf(mounts, tree.mountPoint, found.path) }] : [];
  });
}

/** A cgroup's directory; where only a part of the tree is mounted, below that part. */
function directoryOf(mounts: readonly MountInfo[], mountPoint: string, path: string): string {
  const root = mounts.findLast((mount) => mount.mountPoint === mountPoint)?.root ?? '/';
  return join(mountPoint, posix.relative(root, path));
}

/**
 * Shows the container its own cgroups, as the host has them: one directory a hierarchy (v1, hybrid), or one tree (v2). With a cgroup
 * namespace they are mounted anew, and their root is the container's cgroup; without one, that directory is bound.
 * Source: cgroup_namespaces(7).
 */
export function mountCgroups(
  destination: string,
  options: ParsedMountOptions,
  { rootFd, cgroups, cgroupNamespace }: MountContext,
): void {
  const unified = cgroups.length === 1 && cgroups[0]!.version === 2 ? cgroups[0] : undefined;
  const mountPlace = (place: CgroupPlace, target: number): void => {
    if (cgroupNamespace)
      mountCall({
        source: 'cgroup',
        target: fdPath(target),
        type: place.version === 2 ? 'cgroup2' : 'cgroup',
        flags: options.flags,
        ...(place.version === 1 && { data: mountData(place) }),
      });
    else
      using(openTree(place.directory), (tree) => {
        setAttributes(tree, options);
        attach(tree, target);
      });
  };
  if (unified) return using(mkdirAllInRoot(rootFd, destination), (target) => mountPlace(unified, target));

  using(mkdirAllInRoot(rootFd, destination), (target) =>
    mountCall({
      source: 'tmpfs',
      target: fdPath(target),
      type: 'tmpfs',
      flags: options.flags & ~MS.RDONLY,
      data: 'mode=755',
    }),
  );
  using(openInRoot(rootFd, destination), (top) => {
    for (const place of cgroups) {
      const name = basename(place.mountPoint);
      using(mkdirAllInRoot(top, name), (target) => mountPlace(place, target));
      // `cpu,cpuacct` is also found under each of its names.
      if (place.controllers.length > 1)
        for (const controller of place.controllers)
          if (controller !== name) symlinkSync(name, fdPath(top, controller));
    }
    if (options.flags & MS.RDONLY) mountSetattr(fdPath(top), { set: MOUNT_ATTR.RDONLY });
  });
}

/** A hierarchy is named by its controllers; one without controllers, by its name. */
const mountData = ({ controllers }: CgroupPlace): string =>
  controllers.map((name) => (name.startsWith('name=') ? `none,${name}` : name)).join(',');
