import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../01-processes/index.ts';
import type { Cgroup } from './cgroup.ts';
import { readControl, readKeyed, writeControl } from './control-file.ts';
import type { Controller } from './controllers.ts';
import type { CgroupHost } from './detect.ts';
import { setDeviceProgram } from './device-program.ts';
import { makeFolders, pidsIn, removeTree, until, type Below } from './folders.ts';
import { joinTrees } from './join.ts';
import { killAll } from './kill.ts';
import { applyWrites, checkResources } from './limits.ts';
import { v2Stats } from './v2-stats.ts';
import { v2Writes } from './v2-limits.ts';

/**
 * Makes the cgroup, and hands every controller down to it: a folder has the files of a controller only when
 * `cgroup.subtree_control` of the one above it lists it, all the way from the top.
 * Returns the folders that were made.
 */
export function createV2(host: CgroupHost, path: string, below: Below): string[] {
  const top = below[host.unified!] ?? host.unified!;
  let parent = top;
  return makeFolders(top, path, (folder) => {
    enableControllers(parent);
    parent = folder;
  });
}

/**
 * Gives the cgroups below `folder` every controller that it has itself. One at a time if need be: where one can not be handed down (the folder has
 * processes of its own, say), a limit that asks for it will say so, and the others work.
 */
function enableControllers(folder: string): void {
  //#region enableControllers
  const all = (readControl(join(folder, 'cgroup.controllers')) ?? '').split(' ').filter(Boolean);
  const enabled = (readControl(join(folder, 'cgroup.subtree_control')) ?? '').split(' ');
  for (const controller of all.filter((name) => !enabled.includes(name)))
    try {
      writeControl(join(folder, 'cgroup.subtree_control'), `+${controller}`);
    } catch (error) {
      if (!isErrno(error, 'EBUSY', 'EOPNOTSUPP', 'ENOENT', 'EACCES', 'EPERM', 'EINVAL')) throw error;
    }
  //#endregion
}

/** The handle of a cgroup on v2. Nothing is read or made yet. */
export function openV2(host: CgroupHost, path: string, below: Below): Cgroup {
  const folder = join(below[host.unified!] ?? host.unified!, path);
  const file = (name: string): string => join(folder, name);
  const controllers = (): string[] => (readControl(file('cgroup.controllers')) ?? '').split(' ');
  const pids = (): number[] => pidsIn(folder).sort((a, b) => a - b);
  return {
    path,
    layout: 'v2',
    driver: 'cgroupfs',
    paths: () => ({ '': folder }),
    exists: () => existsSync(folder),
    add: (pid) => joinTrees(pid, [{ folder, top: host.unified!, label: '' }]),
    set: (resources) => {
      checkResources(resources);
      const writes = v2Writes(resources, (_, name) => readControl(file(name)));
      applyWrites(writes, (controller) =>
        controller === undefined || has(controllers(), controller, folder) ? folder : undefined,
      );
      if (resources.devices?.length) setDeviceProgram(folder, resources.devices);
    },
    stats: () => v2Stats(folder),
    pids,
    freeze: () => freezeUnified(folder, true),
    thaw: () => freezeUnified(folder, false),
    frozen: () => readControl(file('cgroup.freeze')) === '1',
    kill: () => killAll(path, { pids, unified: folder }),
    remove: () => removeTree(folder),
  };
}

/** @throws Error when the machine has the controller, and it was not handed down to this folder */
function has(controllers: string[], controller: Controller, folder: string): boolean {
  if (controllers.includes(controller)) return true;
  const above = readControl(join(folder, '..', 'cgroup.controllers')) ?? '';
  if (!above.split(' ').includes(controller)) return false;
  throw new Error(
    `the ${controller} controller was not handed down to ${folder}: a cgroup that has processes of its own can not give it to those below it`,
  );
}

/**
 * Freezes or thaws in the tree of v2, and returns when it is done.
 * @throws Error when some process does not freeze within ten seconds
 */
export function freezeUnified(folder: string, frozen: boolean): void {
  const wanted = frozen ? 1 : 0;
  writeControl(join(folder, 'cgroup.freeze'), String(wanted));
  if (until(() => readKeyed(join(folder, 'cgroup.events'))?.['frozen'] === wanted, 10_000)) return;
  if (frozen) writeControl(join(folder, 'cgroup.freeze'), '0');
  throw new Error(`${folder} did not ${frozen ? 'freeze' : 'thaw'} within 10 seconds`);
}
