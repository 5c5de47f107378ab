import type { ApiClient } from './api-client.ts';
import { part, type CliCommand } from './cli-command.ts';
import { binarySize, decimalSize, shortId } from './cli-format.ts';
import { printList, type Column } from './cli-listing.ts';

interface StatsFlags {
  all?: boolean;
  format?: string;
  noStream?: boolean;
  noTrunc?: boolean;
}

/** milliseconds between two pictures */
const INTERVAL = 1000;

export const stats: CliCommand<StatsFlags> = {
  name: 'stats',
  aliases: ['container stats'],
  usage: '[OPTIONS] [CONTAINER...]',
  summary: 'Display a live stream of container(s) resource usage statistics',
  operands: [0, Infinity],
  options: [
    { flags: '-a, --all', help: 'Show all containers (default shows just running)' },
    { flags: '--format <string>', help: "Format output: 'table', 'table TEMPLATE', 'json' or a Go template" },
    { flags: '--no-stream', help: 'Disable streaming stats and only pull the first result' },
    { flags: '--no-trunc', help: 'Do not truncate output' },
  ],
  async run(api, names, { all, format, noStream, noTrunc = false }) {
    for (;;) {
      const rows = await sampleAll(api, names, all ?? false);
      if (!noStream && process.stdout.isTTY) process.stdout.write('\x1b[2J\x1b[H');
      printList(rows, columns(noTrunc), SHOWN, format);
      if (noStream) return;
      await new Promise((resolve) => setTimeout(resolve, INTERVAL));
    }
  },
};

async function sampleAll(api: ApiClient, names: readonly string[], all: boolean): Promise<Sample[]> {
  const wanted = names.length
    ? names
    : (await api.json<{ Id: string }[]>('GET', '/containers/json', { query: { all } })).map(({ Id }) => Id);
  return await Promise.all(
    wanted.map((name) =>
      api.json<Sample>('GET', `/containers/${part(name)}/stats`, { query: { stream: 0 } }),
    ),
  );
}

interface CpuSample {
  cpu_usage?: { total_usage?: number; percpu_usage?: number[] | null };
  /** nanoseconds of all processors */
  system_cpu_usage?: number;
  online_cpus?: number;
}

/** GET /containers/ID/stats. Two looks at the processor, a second apart; a container that does not run has nothing in it. */
interface Sample {
  id?: string;
  name?: string;
  cpu_stats?: CpuSample;
  precpu_stats?: CpuSample;
  memory_stats?: { usage?: number; limit?: number; stats?: Record<string, number> };
  pids_stats?: { current?: number };
  networks?: Record<string, { rx_bytes: number; tx_bytes: number }>;
  blkio_stats?: { io_service_bytes_recursive?: { op: string; value: number }[] | null };
}

//#region cpuPercent
/** The container's share of what all processors did between two looks; 100 for each processor that it had for itself. */
export function cpuPercent({ cpu_stats: now, precpu_stats: before }: Sample): number {
  const used = (now?.cpu_usage?.total_usage ?? 0) - (before?.cpu_usage?.total_usage ?? 0);
  const passed = (now?.system_cpu_usage ?? 0) - (before?.system_cpu_usage ?? 0);
  const processors = now?.online_cpus || now?.cpu_usage?.percpu_usage?.length || 1;
  return used > 0 && passed > 0 ? (used / passed) * processors * 100 : 0;
}

/** bytes in use, without the pages of files that could be given back at once: `total_inactive_file` on cgroup v1, `inactive_file` on v2 */
export function memoryUsed({ memory_stats: memory }: Sample): number {
  const usage = memory?.usage ?? 0;
  const cache = memory?.stats?.['total_inactive_file'] ?? memory?.stats?.['inactive_file'] ?? 0;
  return cache < usage ? usage - cache : usage;
}
//#endregion

const SHOWN = ['ID', 'Name', 'CPUPerc', 'MemUsage', 'MemPerc', 'NetIO', 'BlockIO', 'PIDs'];

function columns(noTrunc: boolean): Column<Sample>[] {
  const percent = (value: number): string => `${value.toFixed(2)}%`;
  return [
    { field: 'Container', heading: 'CONTAINER', text: ({ id = '' }) => shortId(id) },
    { field: 'ID', heading: 'CONTAINER ID', text: ({ id = '' }) => (noTrunc ? id : shortId(id)) },
    { field: 'Name', heading: 'NAME', text: ({ name = '' }) => name.replace(/^\//, '') },
    { field: 'CPUPerc', heading: 'CPU %', text: (s) => percent(cpuPercent(s)) },
    {
      field: 'MemUsage',
      heading: 'MEM USAGE / LIMIT',
      text: (s) => `${binarySize(memoryUsed(s))} / ${binarySize(s.memory_stats?.limit ?? 0)}`,
    },
    {
      field: 'MemPerc',
      heading: 'MEM %',
      text: (s) => percent(s.memory_stats?.limit ? (memoryUsed(s) / s.memory_stats.limit) * 100 : 0),
    },
    {
      field: 'NetIO',
      heading: 'NET I/O',
      text: (s) => `${decimalSize(netBytes(s, 'rx_bytes'))} / ${decimalSize(netBytes(s, 'tx_bytes'))}`,
    },
    {
      field: 'BlockIO',
      heading: 'BLOCK I/O',
      text: (s) => `${decimalSize(blockBytes(s, 'read'))} / ${decimalSize(blockBytes(s, 'write'))}`,
    },
    { field: 'PIDs', heading: 'PIDS', text: (s) => String(s.pids_stats?.current ?? 0) },
  ];
}

const netBytes = ({ networks }: Sample, direction: 'rx_bytes' | 'tx_bytes'): number =>
  Object.values(networks ?? {}).reduce((sum, one) => sum + one[direction], 0);

const blockBytes = ({ blkio_stats }: Sample, op: string): number =>
  (blkio_stats?.io_service_bytes_recursive ?? []).reduce(
    (sum, entry) => sum + (entry.op.toLowerCase() === op ? entry.value : 0),
    0,
  );
