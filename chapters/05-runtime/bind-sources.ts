import { closeSync, openSync, readSync } from 'node:fs';
import { resolve } from 'node:path';
import { fork, kill, pipe, SIGNALS, waitpid } from '../01-processes/index.ts';
import {
  CLONE,
  MOUNT_ATTR,
  mountSetattr,
  MS,
  namespacePath,
  openTree,
  parseMountOptions,
  unshare,
  writeIdMaps,
  type IdMaps,
} from '../02-namespaces/index.ts';
import type { OciLinux, OciMount } from './spec.ts';
import { ConfigError } from './config-checks.ts';

/** Copies of mounts, hanging nowhere, by their place in config.json's list: what is to be bound there. */
export type BindSources = ReadonlyMap<number, number>;

/**
 * Opens what has to be opened by the runtime itself, before there are namespaces, because the container's first process could not: with a
 * user namespace every source of a bind mount, for directories on the way may be closed to its root; and what is to be id-mapped, for only
 * who rules over the filesystem may do that.
 *
 * An id-mapped mount shows files of owner `containerID` as if of `hostID`, and the other way when files are made: a user namespace, made for
 * nothing else, holds the maps. Source: mount_setattr(2), "ID-mapped mounts".
 * @throws Error naming the mount; then nothing is open
 */
export function openBindSources(mounts: readonly OciMount[], bundle: string, linux: OciLinux): BindSources {
  const user = linux.namespaces?.find(({ type }) => type === 'user');
  const sources = new Map<number, number>();
  try {
    mounts.forEach((mount, i) => {
      if (!isBind(mount)) return;
      const { flags, runtime } = parseMountOptions(mount.options ?? []);
      const mapped = isIdMapped(mount);
      if (process.geteuid!() !== 0) {
        // Root of the container is this very person: what it may open it may open inside.
        if (mapped)
          throw new ConfigError(`mounts[${i}] (${mount.destination}): only root may id-map a mount`);
        return;
      }
      if (!user && !mapped) return;
      try {
        const tree = openTree(resolve(bundle, mount.source!), { recursive: (flags & MS.REC) !== 0 });
        sources.set(i, tree);
        if (mapped) mapIds(tree, mount, linux, user?.path, runtime.includes('ridmap'));
      } catch (cause) {
        const what = `${JSON.stringify(mount.source)} to rootfs at ${JSON.stringify(mount.destination)}`;
        throw new Error(`error mounting ${what}`, { cause });
      }
    });
    return sources;
  } catch (error) {
    for (const fd of sources.values()) closeSync(fd);
    throw error;
  }
}

export const isBind = ({ type, options = [] }: OciMount): boolean =>
  type === 'bind' || options.includes('bind') || options.includes('rbind');

export const isIdMapped = ({ options = [], uidMappings, gidMappings }: OciMount): boolean =>
  options.includes('idmap') || options.includes('ridmap') || !!uidMappings?.length || !!gidMappings?.length;

/** The maps are the mount's own; without, those of the container. */
function mapIds(
  tree: number,
  mount: OciMount,
  linux: OciLinux,
  joined: string | undefined,
  deep: boolean,
): void {
  const own = mount.uidMappings?.length || mount.gidMappings?.length;
  const uid = (own ? mount.uidMappings : linux.uidMappings) ?? [];
  const gid = (own ? mount.gidMappings : linux.gidMappings) ?? [];
  const namespace = !own && joined ? openSync(joined, 'r') : userNamespaceWith({ uid, gid });
  try {
    mountSetattr(tree, { set: MOUNT_ATTR.IDMAP, userNamespace: namespace, recursive: deep });
  } finally {
    closeSync(namespace);
  }
}

/** A descriptor of a user namespace that has these maps, and no process. */
export function userNamespaceWith(maps: IdMaps): number {
  const ready = pipe();
  const pid = fork(() => {
    unshare(CLONE.NEWUSER);
    closeSync(ready.write);
    closeSync(ready.read);
    for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
  try {
    closeSync(ready.write);
    readSync(ready.read, Buffer.alloc(1)); // its end of file: the namespace is there
    writeIdMaps(pid, maps);
    return openSync(namespacePath(pid, 'user'), 'r');
  } finally {
    closeSync(ready.read);
    kill(pid, SIGNALS['SIGKILL']!);
    waitpid(pid);
  }
}
