import { join } from 'node:path';
import { readControl, readKeyed, readNumber } from './control-file.ts';
import type { Controller } from './controllers.ts';
import type { CgroupStats, IoCount } from './stats.ts';

/** v1's word for "no limit": the largest number of whole pages. */
const UNLIMITED = 2 ** 63 - 4096;
/** sysconf(_SC_CLK_TCK) on Linux, for cpuacct.stat. */
const NS_PER_TICK = 1e9 / 100;

/** Reads what the controllers of v1 have counted. @param folders where each controller's files of this cgroup are */
export function v1Stats(folders: Partial<Record<Controller, string>>): CgroupStats {
  const stats: CgroupStats = {};
  const { cpuacct, cpu, memory, pids, blkio } = folders;
  const usage = cpuacct === undefined ? undefined : readNumber(join(cpuacct, 'cpuacct.usage'));
  if (cpuacct && usage !== undefined) {
    const ticks = readKeyed(join(cpuacct, 'cpuacct.stat')) ?? {};
    const throttling = (cpu && readKeyed(join(cpu, 'cpu.stat'))) || {};
    stats.cpu = {
      usage,
      user: readNumber(join(cpuacct, 'cpuacct.usage_user')) ?? (ticks['user'] ?? 0) * NS_PER_TICK,
      system: readNumber(join(cpuacct, 'cpuacct.usage_sys')) ?? (ticks['system'] ?? 0) * NS_PER_TICK,
      perCpu: (readControl(join(cpuacct, 'cpuacct.usage_percpu')) ?? '')
        .split(' ')
        .filter(Boolean)
        .map(Number),
      throttling: {
        periods: throttling['nr_periods'] ?? 0,
        throttledPeriods: throttling['nr_throttled'] ?? 0,
        throttledTime: throttling['throttled_time'] ?? 0,
      },
    };
  }
  const used = memory === undefined ? undefined : readNumber(join(memory, 'memory.usage_in_bytes'));
  if (memory && used !== undefined) {
    const number = (file: string): number | undefined => {
      const value = readNumber(join(memory, file));
      return value !== undefined && value >= UNLIMITED ? Infinity : value;
    };
    const details = readKeyed(join(memory, 'memory.stat')) ?? {};
    const swapUsage = number('memory.memsw.usage_in_bytes');
    const swapLimit = number('memory.memsw.limit_in_bytes');
    const maxUsage = number('memory.max_usage_in_bytes');
    stats.memory = {
      usage: used,
      limit: number('memory.limit_in_bytes') ?? Infinity,
      ...(maxUsage !== undefined && { maxUsage }),
      failcnt: number('memory.failcnt') ?? 0,
      oomKills: readKeyed(join(memory, 'memory.oom_control'))?.['oom_kill'] ?? 0,
      inactiveFile: details['total_inactive_file'] ?? 0,
      ...(swapUsage !== undefined && { swapUsage }),
      ...(swapLimit !== undefined && { swapLimit }),
      stats: details,
    };
  }
  const current = pids === undefined ? undefined : readNumber(join(pids, 'pids.current'));
  if (pids && current !== undefined)
    stats.pids = { current, limit: readNumber(join(pids, 'pids.max')) ?? Infinity };
  if (blkio && readControl(join(blkio, 'blkio.throttle.io_service_bytes')) !== undefined)
    stats.blkio = {
      serviceBytes: ioCounts(readControl(join(blkio, 'blkio.throttle.io_service_bytes_recursive'))),
      serviced: ioCounts(readControl(join(blkio, 'blkio.throttle.io_serviced_recursive'))),
    };
  return stats;
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
