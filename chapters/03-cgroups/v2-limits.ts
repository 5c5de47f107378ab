import type { Controller } from './controllers.ts';
import type { ReadFile, Write } from './limits.ts';
import type { LinuxResources, MemoryResources } from './resources.ts';
import { blkioToIoWeight, sharesToWeight } from './sizes.ts';
import { hugepageWrites, rdmaWrites } from './v1-limits.ts';

/**
 * What to write to which file of v2 for these limits, which are given in the words of v1: the runtime spec is older than v2.
 * Devices are not among the files: see device-program.ts.
 * @param now what the files say now
 * @throws Error for what v2 can not do
 * Source: cgroup-v2 in the kernel's documentation; libcontainer/cgroups/fs2 for the arithmetic
 */
export function v2Writes(resources: LinuxResources, now: ReadFile): Write[] {
  const { cpu = {}, pids = {}, blockIO = {}, network = {}, memory = {} } = resources;
  const writes: Write[] = [];
  const set = (controller: Controller, file: string, value: unknown, asked: string): void => {
    if (value !== undefined && value !== 0 && value !== '')
      writes.push({ controller, file, value: value === -1 ? 'max' : String(value), asked });
  };
  for (const [asked, is] of Object.entries({
    'memory.disableOOMKiller': memory.disableOOMKiller,
    'memory.kernelTCP': memory.kernelTCP,
    'memory.swappiness': memory.swappiness !== undefined && memory.swappiness >= 0,
    'cpu.realtimeRuntime': cpu.realtimeRuntime,
    'cpu.realtimePeriod': cpu.realtimePeriod,
    'blockIO.leafWeight': blockIO.leafWeight ?? blockIO.weightDevice?.some((d) => d.leafWeight),
    'network.classID': network.classID,
    'network.priorities': network.priorities?.length,
  }))
    if (is) throw new Error(`${asked} is not there in cgroup v2, which this machine has`);

  refuseBelowUse(memory, now);
  set('memory', 'memory.max', memory.limit, 'memory.limit');
  const swap = swapOnly(memory);
  // A kernel without swap has no file for it. There "none" and "any" hold by themselves.
  const hasSwap = now('memory', 'memory.swap.max') !== undefined || now('memory', 'memory.max') === undefined;
  if (hasSwap || (swap !== -1 && swap !== '0')) set('memory', 'memory.swap.max', swap, 'memory.swap');
  set('memory', 'memory.low', memory.reservation, 'memory.reservation');

  if (cpu.idle !== undefined && (cpu.idle || now('cpu', 'cpu.idle') === '1'))
    writes.push({ controller: 'cpu', file: 'cpu.idle', value: String(cpu.idle), asked: 'cpu.idle' });
  if (cpu.shares && !cpu.idle) set('cpu', 'cpu.weight', sharesToWeight(cpu.shares), 'cpu.shares');
  if (cpu.quota || cpu.period) {
    // Both stand in one file; what is not given keeps what it says.
    const [quota = 'max', period = '100000'] = (now('cpu', 'cpu.max') ?? '').split(' ').filter(Boolean);
    const wanted = cpu.quota ? (cpu.quota > 0 ? cpu.quota : 'max') : quota;
    set('cpu', 'cpu.max', `${wanted} ${cpu.period || period}`, cpu.quota ? 'cpu.quota' : 'cpu.period');
  }
  set('cpu', 'cpu.max.burst', cpu.burst, 'cpu.burst');
  set('cpuset', 'cpuset.cpus', cpu.cpus, 'cpu.cpus');
  set('cpuset', 'cpuset.mems', cpu.mems, 'cpu.mems');
  set('pids', 'pids.max', pids.limit, 'pids.limit');

  const bfq = now('io', 'io.bfq.weight') !== undefined;
  if (blockIO.weight && bfq) set('io', 'io.bfq.weight', blockIO.weight, 'blockIO.weight');
  else if (blockIO.weight) set('io', 'io.weight', blkioToIoWeight(blockIO.weight), 'blockIO.weight');
  for (const { major, minor, weight } of blockIO.weightDevice ?? [])
    if (weight && bfq) set('io', 'io.bfq.weight', `${major}:${minor} ${weight}`, 'blockIO.weightDevice');
    else if (weight)
      set('io', 'io.weight', `${major}:${minor} ${blkioToIoWeight(weight)}`, 'blockIO.weightDevice');
  for (const [key, word] of Object.entries(THROTTLE))
    for (const { major, minor, rate } of blockIO[key as keyof typeof THROTTLE] ?? [])
      set('io', 'io.max', `${major}:${minor} ${word}=${rate || 'max'}`, `blockIO.${key}`);

  writes.push(...hugepageWrites(resources, 'max', now));
  writes.push(...rdmaWrites(resources));
  for (const [file, value] of Object.entries(resources.unified ?? {}))
    writes.push({ file, value, asked: `unified ${file}` });
  return writes;
}

/**
 * v1 refuses a limit below what is in use (EBUSY). v2 takes it, takes memory back, and when that does not do, kills. Whoever wants v1's
 * manners says `checkBeforeUpdate`.
 */
function refuseBelowUse({ limit = 0, checkBeforeUpdate }: MemoryResources, now: ReadFile): void {
  const used = Number(now('memory', 'memory.current') ?? 0);
  if (checkBeforeUpdate && limit > 0 && used > limit)
    throw new Error(`memory.limit ${limit} was refused: ${used} bytes are in use (checkBeforeUpdate)`);
}

const THROTTLE = {
  throttleReadBpsDevice: 'rbps',
  throttleWriteBpsDevice: 'wbps',
  throttleReadIOPSDevice: 'riops',
  throttleWriteIOPSDevice: 'wiops',
} as const;

/**
 * The limit on swap alone, as v2 has it, from the spec's, which counts memory and swap together. Undefined when nothing is to be
 * written; -1 is unlimited.
 * @throws RangeError for a limit on both without one on memory: there is nothing to subtract
 */
export function swapOnly({ limit = 0, swap = 0 }: MemoryResources): number | string | undefined {
  //#region swapOnly
  if (swap === 0) return limit === -1 ? -1 : undefined;
  if (swap === -1 || limit === -1) return swap;
  if (limit === 0)
    throw new RangeError(
      `invalid memory.swap ${swap}: it is memory and swap together, so give memory.limit too`,
    );
  return String(swap - limit); // text, because here 0 means "none" and not "nothing given"
  //#endregion
}
