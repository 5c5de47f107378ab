import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { SyscallError } from '../01-processes/index.ts';
import type { Controller } from './controllers.ts';
import { readControl, writeControl } from './control-file.ts';
import { fullRule } from './device-rule.ts';
import type { BlockIoResources, LinuxResources } from './resources.ts';

/** One value for one file of a cgroup: what a limit comes down to. */
export interface Write {
  /** The controller whose file it is; absent for a file that belongs to none (`unified` names files only). */
  controller?: Controller;
  file: string;
  value: string;
  /** The limit that asked for it, as errors name it: `memory.limit`. */
  asked: string;
}

/** What a file of the cgroup says now; `undefined` when there is no such file. */
export type ReadFile = (controller: Controller, file: string) => string | undefined;

/**
 * Refuses numbers that the spec does not allow, before anything is written. What the kernel alone can judge (a quota beyond the parent's, a processor that
 * is not there) it judges itself.
 * @throws RangeError with the value, its place and what is allowed
 */
export function checkResources(resources: LinuxResources): void {
  const { memory = {}, cpu = {}, pids = {}, blockIO = {}, network = {} } = resources;
  const list = (place: string, value: string | undefined): void => {
    if (value && !/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(value.trim()))
      throw new RangeError(
        `invalid ${place} ${JSON.stringify(value)}: give a list of numbers and ranges, such as 0-2,7`,
      );
  };
  whole('memory.limit', memory.limit, -1);
  whole('memory.reservation', memory.reservation, -1);
  whole('memory.swap', memory.swap, -1);
  whole('memory.kernelTCP', memory.kernelTCP, -1);
  if (memory.swappiness !== -1) whole('memory.swappiness', memory.swappiness, 0, 100);
  if (memory.limit && memory.limit > 0 && memory.swap && memory.swap > 0 && memory.swap < memory.limit)
    throw new RangeError(
      `invalid memory.swap ${memory.swap}: it is memory and swap together, so at least memory.limit (${memory.limit})`,
    );
  whole('cpu.shares', cpu.shares, 2, 262144);
  whole('cpu.quota', cpu.quota, -1);
  whole('cpu.period', cpu.period, 1000, 1_000_000);
  whole('cpu.burst', cpu.burst, 0);
  whole('cpu.idle', cpu.idle, 0, 1);
  list('cpu.cpus', cpu.cpus);
  list('cpu.mems', cpu.mems);
  whole('pids.limit', pids.limit, -1);
  whole('cpu.realtimeRuntime', cpu.realtimeRuntime, -1);
  whole('cpu.realtimePeriod', cpu.realtimePeriod, 1, 1_000_000);
  checkBlockIO(blockIO);
  whole('network.classID', network.classID, 0, 2 ** 32 - 1);
  for (const { name, priority } of network.priorities ?? []) {
    if (!/^[^\s/]{1,15}$/.test(name))
      throw new RangeError(
        `invalid network.priorities name ${JSON.stringify(name)}: give the name of an interface`,
      );
    whole('network.priorities priority', priority, 0, 2 ** 32 - 1);
  }
  for (const [adapter, { hcaHandles, hcaObjects }] of Object.entries(resources.rdma ?? {})) {
    if (!/^[\w.-]+$/.test(adapter))
      throw new RangeError(`invalid rdma ${JSON.stringify(adapter)}: give the name of an adapter`);
    whole(`rdma ${adapter} hcaHandles`, hcaHandles, 0, 2 ** 31 - 1);
    whole(`rdma ${adapter} hcaObjects`, hcaObjects, 0, 2 ** 31 - 1);
  }
  for (const { pageSize, limit } of resources.hugepageLimits ?? []) {
    if (!/^[1-9]\d*[KMG]B$/.test(pageSize))
      throw new RangeError(`invalid hugepageLimits pageSize ${JSON.stringify(pageSize)}: give such as 2MB`);
    whole('hugepageLimits limit', limit, 0);
  }
  resources.devices?.forEach(fullRule);
  for (const file of Object.keys(resources.unified ?? {}))
    if (!/^[a-z_]+\.[\w.]+$/.test(file))
      throw new RangeError(
        `invalid unified ${JSON.stringify(file)}: give the name of a file such as memory.high`,
      );
}

/** Refuses what is no whole number in a range; what is not given, or 0, is not looked at. */
function whole(
  place: string,
  value: number | undefined,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): void {
  // Unlimited is also written as the largest number of 64 bits, which JSON rounds up.
  if (value === undefined || value === 0 || (value > most && most === Number.MAX_SAFE_INTEGER)) return;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    const range = most === Number.MAX_SAFE_INTEGER ? `${least} or more` : `from ${least} to ${most}`;
    throw new RangeError(`invalid ${place} ${JSON.stringify(value)}: give a whole number, ${range}`);
  }
}

/** Weights, and the disks that weights and rates are for. */
function checkBlockIO(blockIO: BlockIoResources): void {
  const disk = (place: string, { major, minor }: { major: number; minor: number }): void => {
    if (![major, minor].every((n) => Number.isInteger(n) && n >= 0))
      throw new RangeError(`invalid ${place} ${major}:${minor}: give the two numbers of a disk, such as 8:0`);
  };
  whole('blockIO.weight', blockIO.weight, 10, 1000);
  whole('blockIO.leafWeight', blockIO.leafWeight, 10, 1000);
  for (const each of blockIO.weightDevice ?? []) {
    disk('blockIO.weightDevice', each);
    whole('blockIO.weightDevice weight', each.weight, 10, 1000);
    whole('blockIO.weightDevice leafWeight', each.leafWeight, 10, 1000);
  }
  for (const place of RATES)
    for (const each of blockIO[place] ?? []) {
      disk(`blockIO.${place}`, each);
      whole(`blockIO.${place} rate`, each.rate, 1);
    }
}

const RATES = [
  'throttleReadBpsDevice',
  'throttleWriteBpsDevice',
  'throttleReadIOPSDevice',
  'throttleWriteIOPSDevice',
] as const;

/**
 * Makes the writes, in order. Before the first, every file is looked for, so that a controller that this machine lacks leaves all as it was.
 * @param folderOf where a controller's files of this cgroup are; `undefined` when the controller is not there
 * @throws Error that names the limit and the controller; SyscallError when the kernel refuses a value
 */
export function applyWrites(
  writes: readonly Write[],
  folderOf: (controller: Controller | undefined) => string | undefined,
): void {
  //#gap 03.3 applyWrites
  const ready = writes.map(({ controller, file, value, asked }) => {
    const folder = folderOf(controller);
    if (folder === undefined)
      throw new Error(
        `${asked} needs the ${controller} controller, which this machine's cgroups do not have`,
      );
    const path = join(folder, file);
    if (!existsSync(path))
      throw new Error(`${asked} can not be set: this kernel has no ${file} in ${folder}`);
    return { path, value, asked };
  });
  for (const { path, value, asked } of ready) {
    try {
      writeControl(path, value);
    } catch (error) {
      throw new Error(`${asked} was refused${explain(error, path)}`, { cause: error });
    }
  }
  //#end
}

/** What the kernel's bare number means here. */
function explain(error: unknown, path: string): string {
  if (!(error instanceof SyscallError)) return '';
  if (error.code === 'EBUSY' && path.endsWith('memory.limit_in_bytes'))
    return `: ${readControl(path.replace('limit', 'usage'))} bytes are in use and can not be given back`;
  if (error.code === 'EINVAL' && path.includes('/cpu.')) return ": it may go beyond the parent's";
  return '';
}
