import { join } from 'node:path';
import { readControl, readKeyed, readNumber } from './control-file.ts';
import type { CgroupStats, IoCount } from './stats.ts';

/** Reads what the controllers of v2 have counted. */
export function v2Stats(folder: string): CgroupStats {
  const file = (name: string): string => join(folder, name);
  const stats: CgroupStats = {};
  // usage_usec is there without the cpu controller; the kernel always counts time.
  const cpu = readKeyed(file('cpu.stat'));
  if (cpu)
    stats.cpu = {
      usage: (cpu['usage_usec'] ?? 0) * 1000,
      user: (cpu['user_usec'] ?? 0) * 1000,
      system: (cpu['system_usec'] ?? 0) * 1000,
      throttling: {
        periods: cpu['nr_periods'] ?? 0,
        throttledPeriods: cpu['nr_throttled'] ?? 0,
        throttledTime: (cpu['throttled_usec'] ?? 0) * 1000,
      },
    };
  const usage = readNumber(file('memory.current'));
  if (usage !== undefined) {
    const details = readKeyed(file('memory.stat')) ?? {};
    const events = readKeyed(file('memory.events')) ?? {};
    const maxUsage = readNumber(file('memory.peak'));
    const swapUsage = readNumber(file('memory.swap.current'));
    const swapLimit = readNumber(file('memory.swap.max'));
    stats.memory = {
      usage,
      limit: readNumber(file('memory.max')) ?? Infinity,
      ...(maxUsage !== undefined && { maxUsage }),
      failcnt: events['max'] ?? 0,
      oomKills: events['oom_kill'] ?? 0,
      inactiveFile: details['inactive_file'] ?? 0,
      ...(swapUsage !== undefined && { swapUsage }),
      ...(swapLimit !== undefined && { swapLimit }),
      stats: details,
    };
  }
  const current = readNumber(file('pids.current'));
  if (current !== undefined) stats.pids = { current, limit: readNumber(file('pids.max')) ?? Infinity };
  const io = readControl(file('io.stat'));
  if (io !== undefined)
    stats.blkio = {
      serviceBytes: ioCounts(io, { rbytes: 'Read', wbytes: 'Write', dbytes: 'Discard' }),
      serviced: ioCounts(io, { rios: 'Read', wios: 'Write', dios: 'Discard' }),
    };
  return stats;
}

/** Lines such as `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`. */
function ioCounts(text: string, ops: Record<string, string>): IoCount[] {
  return text
    .split('\n')
    .filter(Boolean)
    .flatMap((line) => {
      const [device, ...pairs] = line.split(' ');
      const [major, minor] = device!.split(':').map(Number);
      return pairs.flatMap((pair) => {
        const [key, value] = pair.split('=');
        const op = ops[key!];
        return op ? [{ major: major!, minor: minor!, op, value: Number(value) }] : [];
      });
    });
}
