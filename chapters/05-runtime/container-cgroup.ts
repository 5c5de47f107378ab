import { dirname } from 'node:path';
import { isErrno } from '../01-processes/index.ts';
import {
  createCgroup,
  createSystemdCgroup,
  DEFAULT_DEVICE_RULES,
  isSystemdRunning,
  openCgroup,
  openSystemdCgroup,
  systemdPlace,
  type Below,
  type Cgroup,
  type DeviceRule,
  type LinuxResources,
} from '../03-cgroups/index.ts';
import { cgroupHost } from './cgroup-host.ts';
import { cgroupPlaces } from './cgroup-mounts.ts';
import type { Context } from './context.ts';
import { log } from './log.ts';
import { NO_CGROUP } from './no-cgroup.ts';
import type { OciSpec } from './spec.ts';
import { unitProperties } from './unit-properties.ts';
import { isInUserNamespace } from './user-namespace.ts';

/** Where a container's cgroup is, and who keeps it: a part of its state, because the commands after `create` are told neither. */
export interface CgroupRecord {
  /** cgroupfs: its path in each tree. systemd: `slice:prefix:name`. */
  cgroup: string;
  /** `none`: the person who made the container may make no cgroup. Default: `cgroupfs`. */
  cgroupDriver?: 'cgroupfs' | 'systemd' | 'none';
  /** For a relative path: the folders that it begins at. */
  cgroupBelow?: Below;
}

/** Nothing is asked of the cgroup, or of systemd, before a method is called. */
export function recordedCgroup({ cgroup, cgroupDriver, cgroupBelow }: CgroupRecord): Cgroup {
  if (cgroupDriver === 'none') return NO_CGROUP;
  return cgroupDriver === 'systemd'
    ? openSystemdCgroup(cgroup)
    : openCgroup(cgroup, cgroupBelow, cgroupHost());
}

/**
 * What linux.cgroupsPath means, as runc reads it. With --systemd-cgroup it is `slice:prefix:name`; else a path, from the top of each tree, or, if it is
 * relative, from this runtime's own cgroup. Without one the container's id is the name.
 * @throws Error, RangeError for a path in the other driver's spelling, or where there is no systemd
 */
export function placeCgroup({ linux }: OciSpec, id: string, { systemdCgroup }: Context): CgroupRecord {
  const path = linux?.cgroupsPath ?? '';
  const where = 'linux.cgroupsPath';
  const inSystemdsWords = /^[^/]*:[^/]*:[^/]*$/.test(path);
  if (systemdCgroup) {
    if (!isSystemdRunning())
      throw new Error(
        '--systemd-cgroup: systemd not running on this host, cannot use systemd cgroups manager',
      );
    if (path && !inSystemdsWords)
      throw new Error(
        `${where}: expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got ${JSON.stringify(path)} instead`,
      );
    const cgroup = path || `:myrunc:${id}`;
    systemdPlace(cgroup);
    return { cgroup, cgroupDriver: 'systemd' };
  }
  if (inSystemdsWords)
    throw new Error(
      `${where}: ${JSON.stringify(path)} is for the systemd driver: call with --systemd-cgroup`,
    );
  if (path.startsWith('/')) return { cgroup: path };
  return { cgroup: `/${path || id}`, cgroupBelow: ownFolders() };
}

/** This process's own cgroup in each tree; on v2 the one above it, for a cgroup with processes can have no controllers below. */
function ownFolders(): Below {
  const places = cgroupPlaces();
  const own = (directory: string, mountPoint: string): string =>
    places.length === 1 && directory !== mountPoint ? dirname(directory) : directory;
  return Object.fromEntries(
    places.map(({ mountPoint, directory, version }) => [
      mountPoint,
      version === 2 ? own(directory, mountPoint) : directory,
    ]),
  );
}

/**
 * Looks at a cgroup that is there already. Processes in it share the container's limits, are paused and are counted with it: runc only says so,
 * and so does this runtime, which never ends more than the container's own (see `destroy`).
 * @throws Error for a frozen one: whoever joins it stops, in the middle of being made
 */
export function checkUsedCgroup({ log: to }: Context, record: CgroupRecord): void {
  const cgroup = recordedCgroup(record);
  if (!cgroup.exists()) return;
  if (cgroup.frozen())
    throw new Error(`linux.cgroupsPath: container's cgroup unexpectedly frozen: ${cgroup.path}`);
  const pids = cgroup.pids();
  if (pids.length > 0)
    log(to, 'warning', `container's cgroup is not empty: ${pids.length} process(es) found in ${cgroup.path}`);
}

/**
 * Makes the cgroup for a process that is to be born in it. Undefined where it has to be made around a process, by `enterNewCgroup`.
 * @throws Error, SyscallError when the kernel refuses
 */
export function newCgroup(context: Context, record: CgroupRecord): Cgroup | undefined {
  if (record.cgroupDriver === 'systemd' || usesRootlessCgroups(context)) return undefined;
  return createCgroup(record.cgroup, {}, record.cgroupBelow, cgroupHost());
}

/**
 * Makes the cgroup, with a process in it: systemd makes none without. A person without root may do without one, if config.json asks for none.
 * Changes the record then.
 * @throws Error, SyscallError when the kernel or systemd refuses
 */
export function enterNewCgroup(
  context: Context,
  record: CgroupRecord,
  pid: number,
  { linux, annotations }: OciSpec,
): Cgroup {
  if (record.cgroupDriver === 'systemd')
    return createSystemdCgroup(record.cgroup, pid, {}, { extra: unitProperties(annotations ?? {}) });
  try {
    const cgroup = createCgroup(record.cgroup, {}, record.cgroupBelow, cgroupHost());
    cgroup.add(pid);
    return cgroup;
  } catch (error) {
    if (!usesRootlessCgroups(context) || linux?.cgroupsPath || !isErrno(error, 'EACCES', 'EPERM', 'EROFS'))
      throw error;
    record.cgroupDriver = 'none';
    return NO_CGROUP;
  }
}

/**
 * Whether a cgroup that may not be made is done without: as --rootless says, or for everyone who is not root of the machine. Root of a user namespace
 * (podman without root calls its runtime so) is not.
 */
export function usesRootlessCgroups({ rootless }: Context): boolean {
  return rootless ?? (process.geteuid!() !== 0 || isInUserNamespace());
}

/** The spec's limits, and the devices that every container may use. Who is not root has no say over devices, and makes none. */
export function containerResources(spec: OciSpec, context: Context): LinuxResources {
  const { devices: rules, ...resources } = (spec.linux?.resources ?? {}) as LinuxResources;
  if (usesRootlessCgroups(context)) return resources;
  const devices = rules?.length ? rules : [{ allow: false, access: 'rwm' }];
  return { ...resources, devices: [...devices.map(withoutAll), ...DEFAULT_DEVICE_RULES] };
}

/** Some write `a` among the letters of access, which is a type: runc takes no notice of it. */
const withoutAll = (rule: DeviceRule): DeviceRule =>
  rule.access?.includes('a') ? { ...rule, access: rule.access.replaceAll('a', '') || 'rwm' } : rule;
