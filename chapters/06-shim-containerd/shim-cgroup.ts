import { readFileSync } from 'node:fs';
import { isErrno } from '../01-processes/index.ts';
import { openCgroup, type CgroupStats, type IoCount } from '../03-cgroups/index.ts';
import { encode, type Any } from './protobuf.ts';
import { metricsProtos } from './task-api.ts';
import { CODE, TtrpcError } from './ttrpc.ts';

/**
 * Where a process is in each cgroup tree: path by controller, '' for v2's.
 * Source: cgroups(7), /proc/PID/cgroup.
 */
export function readCgroupPaths(pid: number): Map<string, string> {
  const text = readIfThere(`/proc/${pid}/cgroup`) ?? '';
  const paths = new Map<string, string>();
  for (const [, controllers, path] of text.matchAll(/^\d+:([^:]*):(.*)$/gm))
    for (const controller of controllers!.split(',')) paths.set(controller, path!);
  return paths;
}

/** How many processes of the cgroup the kernel has killed for want of memory; 0 where that cannot be known. */
export function countOomKills(paths: Map<string, string>): number {
  const v1 = paths.get('memory');
  const v2 = paths.get('');
  const text =
    (v1 !== undefined && readIfThere(`/sys/fs/cgroup/memory${v1}/memory.oom_control`)) ||
    (v2 !== undefined && readIfThere(`/sys/fs/cgroup${v2}/memory.events`)) ||
    '';
  return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
}

/**
 * What the container has used, as containerd's metrics have it: a v1 or a v2 message, as the machine is.
 * @throws TtrpcError NOT_FOUND when the cgroup is gone
 */
export function readMetrics(paths: Map<string, string>): Any {
  const cgroup = openCgroup(paths.get('memory') ?? paths.get('pids') ?? paths.get('') ?? '/');
  if (!cgroup.exists()) throw new TtrpcError(CODE.NOT_FOUND, `cgroup ${cgroup.path} does not exist`);
  const v2 = cgroup.layout === 'v2';
  const typeUrl = `io.containerd.cgroups.${v2 ? 'v2' : 'v1'}.Metrics`;
  const stats = cgroup.stats();
  const metrics = v2 ? metricsV2(stats) : metricsV1(stats);
  return { typeUrl, value: encode(metricsProtos().lookupType(typeUrl), metrics) };
}

function metricsV1({ cpu, memory, pids, blkio }: CgroupStats): object {
  const { throttledPeriods, ...throttling } = cpu.throttling;
  const entries = (counts: IoCount[]): object[] => counts.map((count) => ({ ...count, device: '' }));
  return {
    pids: { current: pids.current, limit: limit(pids.limit, 0) },
    cpu: {
      usage: { total: cpu.usage, kernel: cpu.system, user: cpu.user, perCpu: cpu.perCpu ?? [] },
      throttling: { ...throttling, throttledPeriods },
    },
    memory: {
      ...camelCase(memory.stats),
      usage: {
        usage: memory.usage,
        limit: limit(memory.limit),
        max: memory.maxUsage ?? 0,
        failcnt: memory.failcnt,
      },
      swap: { usage: memory.swapUsage ?? 0, limit: limit(memory.swapLimit ?? 0) },
    },
    memoryOomControl: { oomKill: memory.oomKills },
    blkio: {
      ioServiceBytesRecursive: entries(blkio.serviceBytes),
      ioServicedRecursive: entries(blkio.serviced),
    },
  };
}

function metricsV2({ cpu, memory, pids, blkio }: CgroupStats): object {
  const { periods, throttledPeriods, throttledTime } = cpu.throttling;
  const microseconds = (nanoseconds: number): number => Math.round(nanoseconds / 1000);
  return {
    pids: { current: pids.current, limit: limit(pids.limit, 0) },
    cpu: {
      usageUsec: microseconds(cpu.usage),
      userUsec: microseconds(cpu.user),
      systemUsec: microseconds(cpu.system),
      nrPeriods: periods,
      nrThrottled: throttledPeriods,
      throttledUsec: microseconds(throttledTime),
    },
    memory: {
      ...camelCase(memory.stats),
      usage: memory.usage,
      usageLimit: limit(memory.limit),
      swapUsage: memory.swapUsage ?? 0,
      swapLimit: limit(memory.swapLimit ?? 0),
      maxUsage: memory.maxUsage ?? 0,
    },
    memoryEvents: { max: memory.failcnt, oomKill: memory.oomKills },
    io: { usage: ioEntries(blkio) },
  };
}

function ioEntries({ serviceBytes, serviced }: CgroupStats['blkio']): object[] {
  const disks = new Map<string, Record<string, number>>();
  const add = ({ major, minor, op, value }: IoCount, fields: Record<string, string>): void => {
    const disk = disks.get(`${major}:${minor}`) ?? { major, minor };
    const field = fields[op];
    if (field) disk[field] = value;
    disks.set(`${major}:${minor}`, disk);
  };
  for (const count of serviceBytes) add(count, { Read: 'rbytes', Write: 'wbytes' });
  for (const count of serviced) add(count, { Read: 'rios', Write: 'wios' });
  return [...disks.values()];
}

/** No limit, as the kernel's v1 says it: the largest number of whole pages. */
const NO_LIMIT = 2 ** 63 - 4096;

const limit = (value: number, none = NO_LIMIT): number => (Number.isFinite(value) ? value : none);

/** memory.stat's words as protobuf.js names fields: `total_rss` is `totalRss`. */
const camelCase = (stats: Record<string, number>): Record<string, number> =>
  Object.fromEntries(
    Object.entries(stats).map(([name, value]) => [
      name.replace(/_([a-z])/g, (_all, letter: string) => letter.toUpperCase()),
      value,
    ]),
  );

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH', 'ENODEV', 'EACCES')) return undefined;
    throw error;
  }
}
