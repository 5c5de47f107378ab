import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { openCgroup, readProcessorTime, type CgroupStats } from '../03-cgroups/index.ts';
import { badParameter, conflict } from './api-error.ts';
import { cgroupOf } from './cgroup-parent.ts';
import { flag, type Call } from './call.ts';
import { isRunning, type ContainerRecord } from './container.ts';
import type { Daemon } from './daemon.ts';
import type { Route } from './router.ts';
import { named } from './route-containers.ts';

/** The routes that look at a container's processes, and at what they use. */
export const processRoutes: readonly Route[] = [
  ['GET', '/containers/{name}/top', top],
  ['GET', '/containers/{name}/stats', stats],
];

const run = promisify(execFile);

/** The host's `ps`, of the container's processes alone. */
async function top(daemon: Daemon, call: Call): Promise<void> {
  const record = named(daemon, call);
  if (!isRunning(record)) throw conflict(`container ${record.id} is not running`);
  const args = (call.query.get('ps_args') || '-ef').split(/\s+/).filter(Boolean);
  const { processes } = await daemon.containerd.tasks.listPids({ containerId: record.id });
  const pids = new Set(processes.map(({ pid }) => String(pid)));
  let text: string;
  try {
    text = (await run('ps', args)).stdout;
  } catch (error) {
    throw badParameter(
      `error running ps: ${(error as { stderr?: string }).stderr?.trim() || (error as Error).message}`,
    );
  }
  const [header = '', ...lines] = text.trimEnd().split('\n');
  const titles = header.trim().split(/\s+/);
  const column = titles.indexOf('PID');
  if (column === -1) throw badParameter("Couldn't find PID field in ps output");
  const rows = lines
    .map((line) => {
      const words = line.trim().split(/\s+/);
      // The last column is the command, spaces and all.
      return [...words.slice(0, titles.length - 1), words.slice(titles.length - 1).join(' ')];
    })
    .filter((row) => pids.has(row[column] ?? ''));
  call.json(200, { Titles: titles, Processes: rows });
}

/** What a container uses, every second, or once. Of one that does not run: zeros. */
async function stats(daemon: Daemon, call: Call): Promise<void> {
  const record = named(daemon, call);
  const stream = call.query.get('stream') === null || flag(call.query, 'stream');
  let before = stream || flag(call.query, 'one-shot') ? undefined : sample(record);
  if (before) await sleep(1000);
  if (!stream) {
    const now = sample(record);
    return call.json(200, view(record, now, before));
  }
  const answer = call.stream(200, 'application/json');
  while (!call.gone.aborted) {
    const now = sample(record);
    answer.write(`${JSON.stringify(view(record, now, before))}\n`);
    before = now;
    if (!daemon.containers.all().includes(record)) break;
    await sleep(1000, undefined, { signal: call.gone }).catch(() => undefined);
  }
  answer.end();
}

interface Sample {
  at: string;
  cgroup: CgroupStats;
  /** nanoseconds that all processors together have been there */
  systemCpu: number;
  processors: number;
  networks: Record<string, Record<string, number>>;
}

function sample(record: ContainerRecord): Sample | undefined {
  if (!isRunning(record)) return undefined;
  try {
    const { system, processors } = readProcessorTime();
    return {
      at: new Date().toISOString(),
      cgroup: openCgroup(cgroupOf(record.id)).stats(),
      systemCpu: system,
      processors,
      networks: record.hostConfig.NetworkMode === 'host' ? {} : networkCounters(record.state.pid),
    };
  } catch {
    return undefined; // it ended while it was looked at
  }
}

/** What went through each interface of a process's network namespace: /proc/PID/net/dev. */
function networkCounters(pid: number): Record<string, Record<string, number>> {
  const names =
    'rx_bytes rx_packets rx_errors rx_dropped . . . . tx_bytes tx_packets tx_errors tx_dropped'.split(' ');
  const counters: Record<string, Record<string, number>> = {};
  for (const line of readFileSync(`/proc/${pid}/net/dev`, 'utf8').split('\n')) {
    const [, name, values] = /^\s*([^:\s]+):\s*(.*)$/.exec(line) ?? [];
    if (name === undefined || values === undefined || name === 'lo') continue;
    const numbers = values.trim().split(/\s+/).map(Number);
    counters[name] = Object.fromEntries(
      names.flatMap((key, i) => (key === '.' ? [] : [[key, numbers[i] ?? 0]])),
    );
  }
  return counters;
}

function view(record: ContainerRecord, now: Sample | undefined, before: Sample | undefined): object {
  const finite = (value: number | undefined): number | undefined => (value === Infinity ? undefined : value);
  return {
    name: `/${record.name}`,
    id: record.id,
    read: now?.at ?? '0001-01-01T00:00:00Z',
    preread: before?.at ?? '0001-01-01T00:00:00Z',
    num_procs: 0,
    storage_stats: {},
    pids_stats: now ? { current: now.cgroup.pids.current, limit: finite(now.cgroup.pids.limit) } : {},
    cpu_stats: cpuView(now),
    precpu_stats: cpuView(before),
    memory_stats: now
      ? {
          usage: now.cgroup.memory.usage,
          max_usage: now.cgroup.memory.maxUsage,
          stats: now.cgroup.memory.stats,
          limit: finite(now.cgroup.memory.limit) ?? totalMemory(),
          failcnt: now.cgroup.memory.failcnt,
        }
      : {},
    blkio_stats: {
      io_service_bytes_recursive: now?.cgroup.blkio.serviceBytes.map(ioView) ?? null,
      io_serviced_recursive: now?.cgroup.blkio.serviced.map(ioView) ?? null,
    },
    networks: now?.networks ?? {},
  };
}

function cpuView(sample: Sample | undefined): object {
  const cpu = sample?.cgroup.cpu;
  return {
    cpu_usage: {
      total_usage: cpu?.usage ?? 0,
      usage_in_kernelmode: cpu?.system ?? 0,
      usage_in_usermode: cpu?.user ?? 0,
    },
    ...(sample && { system_cpu_usage: sample.systemCpu, online_cpus: sample.processors }),
    throttling_data: {
      periods: cpu?.throttling.periods ?? 0,
      throttled_periods: cpu?.throttling.throttledPeriods ?? 0,
      throttled_time: cpu?.throttling.throttledTime ?? 0,
    },
  };
}

const ioView = ({ major, minor, op, value }: CgroupStats['blkio']['serviced'][number]) => ({
  major,
  minor,
  op: op.toLowerCase(),
  value,
});

const totalMemory = (): number =>
  Number(/^MemTotal:\s+(\d+)/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0) * 1024;
