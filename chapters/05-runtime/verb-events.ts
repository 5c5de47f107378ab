import { writeSync } from 'node:fs';
import { isErrno } from '../01-processes/index.ts';
import type { Cgroup, CgroupStats } from '../03-cgroups/index.ts';
import { openContainer } from './container.ts';
import type { Context } from './context.ts';
import { sleep } from './hooks.ts';
import type { Run } from './verbs.ts';

/** How often it is looked for processes that were killed for want of memory. milliseconds */
const OOM_INTERVAL = 100;

/** `events`: what a container uses, every now and then until it has stopped, and each OOM kill; with --stats the use, once. */
export const run: Run = (context, { stats, interval = '5s' }, [id]) => {
  const milliseconds = parseInterval(interval);
  const container = openContainer(context, id!);
  if (container.status() === 'stopped') throw new Error(`container with id ${id} is not running`);
  const print = (event: object): void => void writeSync(1, `${JSON.stringify(event)}\n`);
  let kills = oomKills(container.cgroup);
  do {
    print({ type: 'stats', id, data: runcStats(container.cgroup) });
    for (let waited = 0; !stats && waited < milliseconds; waited += OOM_INTERVAL) {
      sleep(Math.min(OOM_INTERVAL, milliseconds - waited));
      const before = kills;
      kills = oomKills(container.cgroup) ?? before;
      for (let i = before ?? 0; i < (kills ?? 0); i++) print({ type: 'oom', id });
    }
  } while (!stats && stillThere(context, id!));
};

/** How many processes of a cgroup were killed for want of memory; `undefined` once it is gone, and without a memory controller. */
function oomKills(cgroup: Cgroup): number | undefined {
  try {
    return cgroup.stats().memory?.oomKills;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENODEV')) return undefined;
    throw error;
  }
}

function stillThere(context: Context, id: string): boolean {
  try {
    return openContainer(context, id).status() !== 'stopped';
  } catch {
    return false;
  }
}

/** Go's way to write a time: `500ms`, `5s`, `1m`. */
function parseInterval(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text) ?? [];
  const milliseconds = Number(number) * { ms: 1, s: 1000, m: 60_000 }[(unit ?? 'ms') as 'ms' | 's' | 'm'];
  if (!(milliseconds > 0))
    throw new Error(`--interval: ${JSON.stringify(text)} is no time: 500ms, 5s or 1m are`);
  return milliseconds;
}

/** The statistics in the shape that runc prints. */
function runcStats(cgroup: Cgroup): unknown {
  const { cpu, memory, pids, blkio }: CgroupStats = cgroup.stats();
  const finite = (value: number | undefined): number =>
    value === undefined || !Number.isFinite(value) ? 2 ** 63 - 2 ** 53 : value;
  return {
    ...(cpu && {
      cpu: {
        usage: { total: cpu.usage, percpu: cpu.perCpu ?? [], kernel: cpu.system, user: cpu.user },
        throttling: {
          periods: cpu.throttling.periods,
          throttledPeriods: cpu.throttling.throttledPeriods,
          throttledTime: cpu.throttling.throttledTime,
        },
      },
    }),
    ...(memory && {
      memory: {
        usage: {
          limit: finite(memory.limit),
          usage: memory.usage,
          max: memory.maxUsage ?? 0,
          failcnt: memory.failcnt,
        },
        raw: memory.stats,
      },
    }),
    ...(pids && {
      pids: { current: pids.current, ...(Number.isFinite(pids.limit) && { limit: pids.limit }) },
    }),
    ...(blkio && {
      blkio: { ioServiceBytesRecursive: blkio.serviceBytes, ioServicedRecursive: blkio.serviced },
    }),
  };
}
