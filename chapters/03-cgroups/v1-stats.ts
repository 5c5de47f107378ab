import { join } from 'node:path';
import { readControl, readKeyed, readNumber } from './control-file.ts';
import type { Controller } from './controllers.ts';
import { hugepages, pressures, type CgroupStats, type IoCount } from './stats.ts';

/** v1's word for "no limit": the largest number of whole pages. */
const UNLIMITED = 2 ** 63 - 4096;
/** sysconf(_SC_CLK_TCK) on Linux, for cpuacct.stat. */
const NS_PER_TICK = 1e9 / 100;

/**
 * Reads what the controllers of v1 have counted, and in hybrid the pressure, which is v2's alone.
 * @param folders where each controller's files of this cgroup are
 */
export function v1Stats(
  folders: Partial<Record<Controller, string>>,
  unified: string | undefined,
): CgroupStats {
  const at = (controller: Controller, file: string): string => join(folders[controller] ?? '/nowhere', file);
  const number = (controller: Controller, file: string): number | undefined => {
    const value = readNumber(at(controller, file));
    return value !== undefined && value >= UNLIMITED ? Infinity : value;
  };
  const keyed = (controller: Controller, file: string): Record<string, number> =>
    readKeyed(at(controller, file)) ?? {};

  const ticks = keyed('cpuacct', 'cpuacct.stat');
  const throttling = keyed('cpu', 'cpu.stat');
  const quota = number('cpu', 'cpu.cfs_quota_us') ?? -1;
  const memory = keyed('memory', 'memory.stat');
  return {
    cpu: {
      usage: number('cpuacct', 'cpuacct.usage') ?? 0,
      user: number('cpuacct', 'cpuacct.usage_user') ?? (ticks['user'] ?? 0) * NS_PER_TICK,
      system: number('cpuacct', 'cpuacct.usage_sys') ?? (ticks['system'] ?? 0) * NS_PER_TICK,
      perCpu: (readControl(at('cpuacct', 'cpuacct.usage_percpu')) ?? '')
        .split(' ')
        .filter(Boolean)
        .map(Number),
      quota: quota < 0 ? Infinity : quota,
      period: number('cpu', 'cpu.cfs_period_us') ?? 100_000,
      throttling: {
        periods: throttling['nr_periods'] ?? 0,
        throttledPeriods: throttling['nr_throttled'] ?? 0,
        throttledTime: throttling['throttled_time'] ?? 0,
      },
    },
    memory: {
      usage: number('memory', 'memory.usage_in_bytes') ?? 0,
      limit: number('memory', 'memory.limit_in_bytes') ?? Infinity,
      maxUsage: number('memory', 'memory.max_usage_in_bytes'),
      failcnt: number('memory', 'memory.failcnt') ?? 0,
      oomKills: keyed('memory', 'memory.oom_control')['oom_kill'] ?? 0,
      inactiveFile: memory['total_inactive_file'] ?? 0,
      swapUsage: number('memory', 'memory.memsw.usage_in_bytes'),
      swapLimit: number('memory', 'memory.memsw.limit_in_bytes'),
      stats: memory,
    },
    pids: {
      current: number('pids', 'pids.current') ?? 0,
      limit: number('pids', 'pids.max') ?? Infinity,
      refused: keyed('pids', 'pids.events')['max'] ?? 0,
    },
    blkio: {
      serviceBytes: ioCounts(readControl(at('blkio', 'blkio.throttle.io_service_bytes_recursive'))),
      serviced: ioCounts(readControl(at('blkio', 'blkio.throttle.io_serviced_recursive'))),
    },
    hugetlb: hugepages(folders.hugetlb, {
      usage: 'usage_in_bytes',
      limit: 'limit_in_bytes',
      refused: (size) => number('hugetlb', `hugetlb.${size}.failcnt`) ?? 0,
    }),
    pressure: pressures(unified),
  };
}

/** Lines such as `8:0 Read 4096`; the line of totals has no device. */
function ioCounts(text = ''): IoCount[] {
  return [...text.matchAll(/^(\d+):(\d+) (\w+) (\d+)$/gm)].map(([, major, minor, op, value]) => ({
    major: Number(major),
    minor: Number(minor),
    op: op!,
    value: Number(value),
  }));
}
