import { join } from 'node:path';
import { readControl, readKeyed, readNumber } from './control-file.ts';
import { hugepages, pressures, type CgroupStats, type IoCount } from './stats.ts';

/** Reads what the controllers of v2 have counted. */
export function v2Stats(folder: string): CgroupStats {
  const number = (name: string): number | undefined => readNumber(join(folder, name));
  const keyed = (name: string): Record<string, number> => readKeyed(join(folder, name)) ?? {};
  const cpu = keyed('cpu.stat');
  const [quota, period] = (readControl(join(folder, 'cpu.max')) ?? 'max 100000').split(' ');
  const memory = keyed('memory.stat');
  const events = keyed('memory.events');
  const io = readControl(join(folder, 'io.stat')) ?? '';
  return {
    cpu: {
      // Time is counted also where the cpu controller is not.
      usage: (cpu['usage_usec'] ?? 0) * 1000,
      user: (cpu['user_usec'] ?? 0) * 1000,
      system: (cpu['system_usec'] ?? 0) * 1000,
      quota: quota === 'max' ? Infinity : Number(quota),
      period: Number(period),
      throttling: {
        periods: cpu['nr_periods'] ?? 0,
        throttledPeriods: cpu['nr_throttled'] ?? 0,
        throttledTime: (cpu['throttled_usec'] ?? 0) * 1000,
      },
    },
    memory: {
      usage: number('memory.current') ?? 0,
      limit: number('memory.max') ?? Infinity,
      maxUsage: number('memory.peak'),
      failcnt: events['max'] ?? 0,
      oomKills: events['oom_kill'] ?? 0,
      inactiveFile: memory['inactive_file'] ?? 0,
      swapUsage: number('memory.swap.current'),
      swapLimit: number('memory.swap.max'),
      stats: memory,
    },
    pids: {
      current: number('pids.current') ?? 0,
      limit: number('pids.max') ?? Infinity,
      refused: keyed('pids.events')['max'] ?? 0,
    },
    blkio: {
      serviceBytes: ioCounts(io, { rbytes: 'Read', wbytes: 'Write', dbytes: 'Discard' }),
      serviced: ioCounts(io, { rios: 'Read', wios: 'Write', dios: 'Discard' }),
    },
    hugetlb: hugepages(folder, {
      usage: 'current',
      limit: 'max',
      refused: (size) => keyed(`hugetlb.${size}.events`)['max'] ?? 0,
    }),
    pressure: pressures(folder),
  };
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
