import { rmdirSync } from 'node:fs';
import { openCgroup } from '../03-cgroups/index.ts';
import { isRunning } from './container.ts';
import type { Daemon } from './daemon.ts';
import { log } from './log.ts';

/** The cgroup that all containers' are in. The runtime makes it with the first of them. */
const PARENT = '/mydocker';

/** Where a container's cgroup is. */
export const cgroupOf = (id: string): string => `${PARENT}/${id}`;

/** Takes the containers' common cgroup away when none of them runs. Another engine's containers may be in it: then it stays. */
export function removeEmptyParent({ containers }: Pick<Daemon, 'containers'>): void {
  if (containers.all().some(isRunning)) return;
  for (const path of Object.values(openCgroup(PARENT).paths()))
    try {
      rmdirSync(path);
    } catch (error) {
      log('debug', `cgroup ${path} stays`, error);
    }
}
