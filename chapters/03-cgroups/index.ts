export { detectCgroups, layoutOf, type CgroupHost, type Hierarchy } from './detect.ts';
export { CONTROLLERS, isController, type Controller } from './controllers.ts';
export type { Cgroup } from './cgroup.ts';
export { forkInto } from './born-inside.ts';
export { createCgroup, openCgroup } from './create.ts';
export type { Below } from './folders.ts';
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
export { parseSize, parseList, cpusToQuota, sharesToWeight, blkioToIoWeight } from './sizes.ts';
export {
  workingSet,
  cpuPercent,
  readProcessorTime,
  readPressure,
  type CgroupStats,
  type CpuSample,
  type IoCount,
  type Pressure,
} from './stats.ts';
