import type { ReadFile, Write } from './limits.ts';
import type { Controller } from './controllers.ts';
import { deviceWrites } from './devices.ts';
import type { CpuResources, LinuxResources, MemoryResources } from './resources.ts';

/**
 * What to write to which file of v1 for these limits, in the order in which the kernel accepts them.
 * @param now what the files say now: the order of two limits that depend on each other depends on where they stand
 * @throws Error for what v1 can not do
 * Source: cgroup-v1 in the kernel's documentation; libcontainer/cgroups/fs for the arithmetic
 */
export function v1Writes(resources: LinuxResources, now: ReadFile): Write[] {
  const { pids = {}, blockIO = {}, network = {} } = resources;
  const writes: Write[] = [];
  const set = (controller: Controller, file: string, value: unknown, asked: string): void => {
    if (value !== undefined && value !== 0 && value !== '')
      writes.push({ controller, file, value: String(value), asked });
  };
  if (resources.unified && Object.keys(resources.unified).length > 0)
    throw new Error(
      'invalid configuration: unified names files of cgroup v2, and the controllers of this machine are on v1',
    );

  writes.push(...deviceWrites(resources.devices ?? []));
  writes.push(...memoryWrites(resources.memory ?? {}, now));
  writes.push(...cpuWrites(resources.cpu ?? {}, now));
  set(
    'pids',
    'pids.max',
    pids.limit === undefined ? undefined : pids.limit > 0 ? pids.limit : pids.limit && 'max',
    'pids.limit',
  );

  // The weight's file belongs to the machine's disk scheduler, today bfq.
  const weight = now('blkio', 'blkio.weight') === undefined ? 'blkio.bfq.weight' : 'blkio.weight';
  set('blkio', weight, blockIO.weight, 'blockIO.weight');
  set('blkio', 'blkio.leaf_weight', blockIO.leafWeight, 'blockIO.leafWeight');
  for (const d of blockIO.weightDevice ?? []) {
    if (d.weight)
      set('blkio', `${weight}_device`, `${d.major}:${d.minor} ${d.weight}`, 'blockIO.weightDevice');
    if (d.leafWeight)
      set(
        'blkio',
        'blkio.leaf_weight_device',
        `${d.major}:${d.minor} ${d.leafWeight}`,
        'blockIO.weightDevice',
      );
  }
  for (const [key, file] of Object.entries(THROTTLE))
    for (const { major, minor, rate } of blockIO[key as keyof typeof THROTTLE] ?? [])
      set('blkio', file, `${major}:${minor} ${rate}`, `blockIO.${key}`);

  writes.push(...hugepageWrites(resources, 'limit_in_bytes', now));
  set('net_cls', 'net_cls.classid', network.classID, 'network.classID');
  for (const { name, priority } of network.priorities ?? [])
    set('net_prio', 'net_prio.ifpriomap', `${name} ${priority}`, 'network.priorities');
  writes.push(...rdmaWrites(resources));
  return writes;
}

const THROTTLE = {
  throttleReadBpsDevice: 'blkio.throttle.read_bps_device',
  throttleWriteBpsDevice: 'blkio.throttle.write_bps_device',
  throttleReadIOPSDevice: 'blkio.throttle.read_iops_device',
  throttleWriteIOPSDevice: 'blkio.throttle.write_iops_device',
} as const;

/**
 * v1 has one limit on memory and one on memory and swap together, and insists that the first is never above the second, at
 * any moment: whichever makes room is written first.
 */
function memoryWrites(memory: MemoryResources, now: ReadFile): Write[] {
  const controller = 'memory';
  //#region memoryWrites
  const limit = { controller, file: 'memory.limit_in_bytes', asked: 'memory.limit' } as const;
  const swap = { controller, file: 'memory.memsw.limit_in_bytes', asked: 'memory.swap' } as const;
  // Unlimited memory with a limit on both would be no limit less: unless swap is spoken of, it goes too.
  const hasSwap = now(controller, swap.file) !== undefined;
  // Without swap accounting "any" holds by itself.
  const any = memory.swap === -1 && !hasSwap && now(controller, limit.file) !== undefined;
  const swapLimit = any ? 0 : memory.swap || (memory.limit === -1 && hasSwap ? -1 : 0);
  const writes: Write[] = [];
  if (memory.limit) writes.push({ ...limit, value: String(memory.limit) });
  if (swapLimit) {
    const growing = swapLimit === -1 || Number(now(controller, limit.file)) < swapLimit;
    writes[growing ? 'unshift' : 'push']({ ...swap, value: String(swapLimit) });
  }
  //#endregion
  const set = (file: string, value: unknown, asked: string): void =>
    void writes.push({ controller, file, value: String(value), asked });
  if (memory.reservation) set('memory.soft_limit_in_bytes', memory.reservation, 'memory.reservation');
  if (memory.kernelTCP) set('memory.kmem.tcp.limit_in_bytes', memory.kernelTCP, 'memory.kernelTCP');
  if (memory.disableOOMKiller) set('memory.oom_control', 1, 'memory.disableOOMKiller');
  if (memory.swappiness !== undefined && memory.swappiness >= 0)
    set('memory.swappiness', memory.swappiness, 'memory.swappiness');
  return writes;
}

/**
 * A quota in a period is a ratio, and the kernel refuses one that goes beyond the parent's, also between the two writes.
 * So a longer period is written first, and a shorter one last: neither makes the ratio larger than it was, or will be.
 */
function cpuWrites(cpu: CpuResources, now: ReadFile): Write[] {
  const writes: Write[] = [];
  const set = (controller: Controller, file: string, value: unknown, asked: string): void => {
    if (value !== undefined && value !== 0 && value !== '')
      writes.push({ controller, file, value: String(value), asked });
  };
  if (cpu.idle !== undefined && (cpu.idle || now('cpu', 'cpu.idle') === '1'))
    writes.push({ controller: 'cpu', file: 'cpu.idle', value: String(cpu.idle), asked: 'cpu.idle' });
  if (!cpu.idle) set('cpu', 'cpu.shares', cpu.shares, 'cpu.shares');
  const longer = (cpu.period ?? 0) >= Number(now('cpu', 'cpu.cfs_period_us') ?? 0);
  if (longer) set('cpu', 'cpu.cfs_period_us', cpu.period, 'cpu.period');
  set('cpu', 'cpu.cfs_quota_us', cpu.quota, 'cpu.quota');
  if (!longer) set('cpu', 'cpu.cfs_period_us', cpu.period, 'cpu.period');
  set('cpu', 'cpu.cfs_burst_us', cpu.burst, 'cpu.burst');
  set('cpu', 'cpu.rt_period_us', cpu.realtimePeriod, 'cpu.realtimePeriod');
  set('cpu', 'cpu.rt_runtime_us', cpu.realtimeRuntime, 'cpu.realtimeRuntime');
  set('cpuset', 'cpuset.cpus', cpu.cpus, 'cpu.cpus');
  set('cpuset', 'cpuset.mems', cpu.mems, 'cpu.mems');
  return writes;
}

/** Huge pages in use, and, where the kernel counts them apart (since 5.7), those that are only set aside. */
export function hugepageWrites(
  resources: LinuxResources,
  word: 'max' | 'limit_in_bytes',
  now: ReadFile,
): Write[] {
  return (resources.hugepageLimits ?? []).flatMap(({ pageSize, limit }) =>
    [`hugetlb.${pageSize}.${word}`, `hugetlb.${pageSize}.rsvd.${word}`]
      .filter((file, i) => i === 0 || now('hugetlb', file) !== undefined)
      .map((file) => ({ controller: 'hugetlb', file, value: String(limit), asked: 'hugepageLimits' })),
  );
}

/** The same on v1 and v2: `mlx5_1 hca_handle=2 hca_object=2000`. */
export function rdmaWrites(resources: LinuxResources): Write[] {
  return Object.entries(resources.rdma ?? {}).map(([adapter, { hcaHandles, hcaObjects }]) => ({
    controller: 'rdma',
    file: 'rdma.max',
    value: [
      adapter,
      ...(hcaHandles === undefined ? [] : [`hca_handle=${hcaHandles}`]),
      ...(hcaObjects === undefined ? [] : [`hca_object=${hcaObjects}`]),
    ].join(' '),
    asked: 'rdma',
  }));
}
