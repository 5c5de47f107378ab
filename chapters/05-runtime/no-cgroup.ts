import { detectCgroups, type Cgroup, type LinuxResources } from '../03-cgroups/index.ts';

/** In place of a cgroup that a person without root may not make: it takes every process and holds none. */
export const NO_CGROUP: Cgroup = {
  path: '',
  driver: 'cgroupfs',
  get layout() {
    return detectCgroups().layout;
  },
  paths: () => ({}),
  exists: () => true,
  add: () => undefined,
  set: (resources) => {
    if (hasLimits(resources))
      throw new Error(
        'linux.resources: rootless needs no limits + no cgrouppath when no permission is granted for cgroups',
      );
  },
  stats: refuse,
  pids: refuse,
  freeze: refuse,
  thaw: refuse,
  frozen: () => false,
  kill: () => undefined,
  remove: () => undefined,
};

function refuse(): never {
  throw new Error('this container has no cgroup: it was made without root, and none was to be had');
}

/** Whether a limit is named at all; `{}` and 0 name none. */
function hasLimits(resources: LinuxResources): boolean {
  const names = (value: unknown): boolean =>
    typeof value === 'object' && value !== null
      ? Object.values(value).some(names)
      : value !== undefined && value !== 0 && value !== '';
  return names(resources);
}
