import type { Cgroup } from './cgroup.ts';
import { detectCgroups } from './detect.ts';
import { cgroupPath, removeFolders, type Below } from './folders.ts';
import { checkResources } from './limits.ts';
import type { LinuxResources } from './resources.ts';
import { createV1, openV1 } from './v1.ts';
import { createV2, openV2 } from './v2.ts';

/**
 * Makes a cgroup in every tree of this machine, with the folders above it, and sets its limits. One that is there already is used.
 * @param path from the top of each tree, or from the folders of `below`
 * @param host what detectCgroups has said, for those who have asked already
 * @throws RangeError for a path that climbs or a limit out of range, before anything is made; Error when the kernel refuses
 *   something: then what was made is gone again
 */
export function createCgroup(
  path: string,
  resources: LinuxResources = {},
  below: Below = {},
  host = detectCgroups(),
): Cgroup {
  checkResources(resources);
  const made = makeCgroup(path, below, host);
  try {
    const cgroup = openCgroup(path, below, host);
    // Whoever joins a frozen cgroup stops at once, in the middle of being started.
    if (made.length === 0 && cgroup.frozen())
      throw new Error(`cgroup ${cgroup.path} is there already, and frozen`);
    cgroup.set(resources);
    return cgroup;
  } catch (error) {
    removeFolders(made);
    throw error;
  }
}

/** Makes the folders alone, and returns those that were not there. */
export function makeCgroup(path: string, below: Below = {}, host = detectCgroups()): string[] {
  const checked = cgroupPath(path);
  return host.layout === 'v2' ? createV2(host, checked, below) : createV1(host, checked, below);
}

/** A cgroup that exists, or has existed: nothing is read or made before a method is called. @throws RangeError for a path that climbs */
export function openCgroup(path: string, below: Below = {}, host = detectCgroups()): Cgroup {
  const checked = cgroupPath(path);
  return host.layout === 'v2' ? openV2(host, checked, below) : openV1(host, checked, below);
}
