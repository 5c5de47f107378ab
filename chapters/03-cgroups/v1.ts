import { join } from 'node:path';
import { readControl, writeControl } from './control-file.ts';
import type { Controller } from './controllers.ts';
import type { CgroupHost } from './detect.ts';
import type { Cgroup } from './cgroup.ts';
import { makeFolders, pidsIn, removeFolders, removeTree, until, type Below } from './folders.ts';
import { joinTrees, type Tree } from './join.ts';
import { killAll } from './kill.ts';
import { applyWrites, checkResources } from './limits.ts';
import { v1Stats } from './v1-stats.ts';
import { v1Writes } from './v1-limits.ts';
import { freezeUnified } from './v2.ts';

/**
 * Makes the cgroup in every tree: one folder in each of v1's, and in hybrid one more in the tree of v2, which has no controllers but
 * groups, freezes and kills.
 * @throws what the kernel refuses; then the folders already made are gone again
 */
export function createV1(host: CgroupHost, path: string, below: Below): string[] {
  const made: string[] = [];
  const make = (mountPoint: string, each: (folder: string) => void): void =>
    void made.push(...makeFolders(below[mountPoint] ?? mountPoint, path, each));
  try {
    for (const { mountPoint, controllers } of host.hierarchies)
      make(mountPoint, controllers.includes('cpuset') ? inheritCpuset : () => undefined);
    if (host.unified) make(host.unified, () => undefined);
    return made;
  } catch (error) {
    removeFolders(made);
    throw error;
  }
}

/**
 * A new cpuset of v1 has no processors and no memory nodes, and so nobody can join it (ENOSPC): it gets its parent's.
 * Called from the top down, it finds the parent filled.
 */
function inheritCpuset(folder: string): void {
  //#region inheritCpuset
  for (const file of ['cpuset.cpus', 'cpuset.mems'])
    if (readControl(join(folder, file)) === '')
      writeControl(join(folder, file), readControl(join(folder, '..', file)) ?? '');
  //#endregion
}

/** The handle of a cgroup on v1 or hybrid. Nothing is read or made yet. */
export function openV1(host: CgroupHost, path: string, below: Below): Cgroup {
  const at = (mountPoint: string): string => join(below[mountPoint] ?? mountPoint, path);
  const v1 = host.hierarchies.map(({ mountPoint, controllers, name }) => ({
    folder: at(mountPoint),
    top: mountPoint,
    label: name ? `name=${name}` : controllers.join(),
    controllers,
    name,
  }));
  const unified = host.unified && at(host.unified);
  const trees: Tree[] = unified ? [...v1, { folder: unified, top: host.unified!, label: '' }] : v1;
  const folders = trees.map(({ folder }) => folder);
  const byController: Partial<Record<Controller, string>> = Object.fromEntries(
    v1.flatMap(({ controllers, folder }) => controllers.map((controller) => [controller, folder])),
  );
  const freezer = byController.freezer;

  const pids = (): number[] => [...new Set(folders.flatMap(pidsIn))].sort((a, b) => a - b);
  const setFrozen = (frozen: boolean): void => {
    if (freezer) setFreezerState(freezer, frozen);
    else if (unified) freezeUnified(unified, frozen);
    else throw new Error(`${path} can not be frozen: this machine has no freezer controller`);
  };
  return {
    path,
    layout: host.layout,
    driver: 'cgroupfs',
    paths: () => ({
      ...byController,
      ...Object.fromEntries(v1.filter(({ name }) => name).map(({ label, folder }) => [label, folder])),
      ...(unified && { '': unified }),
    }),
    exists: () => folders.some((each) => readControl(join(each, 'cgroup.procs')) !== undefined),
    add: (pid) => joinTrees(pid, trees),
    set: (resources) => {
      checkResources(resources);
      const now = (controller: Controller, file: string): string | undefined => {
        const at = byController[controller];
        return at && readControl(join(at, file));
      };
      applyWrites(v1Writes(resources, now), (controller) => controller && byController[controller]);
    },
    stats: () => v1Stats(byController, unified),
    pids,
    freeze: () => setFrozen(true),
    thaw: () => setFrozen(false),
    frozen: () =>
      (freezer ? readControl(join(freezer, 'freezer.state')) : undefined) === 'FROZEN' ||
      (!!unified && readControl(join(unified, 'cgroup.freeze')) === '1'),
    kill: () => killAll(path, { pids, unified, freeze: freezer ? setFrozen : undefined }),
    remove: () => folders.forEach(removeTree),
  };
}

/**
 * Freezes or thaws, and returns when every process has. A process that is being born meanwhile can hold the state at FREEZING: the kernel
 * looks again when it is asked again.
 * @throws Error when some process does not freeze in ten seconds (it waits in the kernel)
 */
function setFreezerState(folder: string, frozen: boolean): void {
  const file = join(folder, 'freezer.state');
  const wanted = frozen ? 'FROZEN' : 'THAWED';
  const reached = until(() => {
    writeControl(file, wanted);
    return readControl(file) === wanted;
  }, 10_000);
  if (reached) return;
  if (frozen) writeControl(file, 'THAWED');
  throw new Error(`${file} did not become ${wanted} within 10 seconds: a process in it waits in the kernel`);
}
