export { detectCgroups, layoutOf, type CgroupHost, type Hierarchy } from './detect.ts';
export { CONTROLLERS, isController, type Controller } from './controllers.ts';
export type { Cgroup } from './cgroup.ts';
export { createCgroup, openCgroup } from './create.ts';
export { createSystemdCgroup, openSystemdCgroup, isSystemdRunning, type SystemdOptions } from './systemd.ts';
export { systemdPlace, type SystemdPlace } from './systemd-path.ts';
export type { Property } from './systemd-properties.ts';
export type {
  LinuxResources,
  DeviceRule,
  MemoryResources,
  CpuResources,
  BlockIoResources,
  Rate,
} from './resources.ts';
export { DEFAULT_DEVICE_RULES, deviceList, type DeviceList } from './devices.ts';
export { checkResources } from './limits.ts';
export { parseSize, cpusToQuota, sharesToWeight, blkioToIoWeight } from './sizes.ts';
export { workingSet, type CgroupStats, type IoCount } from './stats.ts';
