import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ifAlive, isErrno } from '../01-processes/index.ts';
import { readControl, readNumber } from './control-file.ts';

/**
 * What a cgroup and those below it have used, and how much they may. Where the machine lacks a controller nothing has been counted and nothing is limited:
 * 0, and Infinity.
 */
export interface CgroupStats {
  cpu: {
    /** nanoseconds of processor time */
    usage: number;
    /** nanoseconds in programs' own code */
    user: number;
    /** nanoseconds in the kernel */
    system: number;
    /** nanoseconds on each processor; v1 only */
    perCpu?: number[];
    /** microseconds in each period; Infinity when there is no limit */
    quota: number;
    /** microseconds */
    period: number;
    throttling: {
      /** periods in which something ran */
      periods: number;
      /** periods in which the quota was used up */
      throttledPeriods: number;
      /** nanoseconds of waiting for the next period */
      throttledTime: number;
    };
  };
  memory: {
    /** bytes, with the page cache */
    usage: number;
    /** bytes; Infinity when there is none */
    limit: number;
    /** the most that usage has been, in bytes; `undefined` where the kernel does not say */
    maxUsage: number | undefined;
    /** how often the limit was hit */
    failcnt: number;
    /** processes that the kernel has killed for want of memory */
    oomKills: number;
    /** bytes of file contents that nobody has used for a while: the kernel takes them back first. `docker stats` leaves them out. */
    inactiveFile: number;
    /** bytes of swap (v2) or of memory and swap together (v1); `undefined` without swap accounting */
    swapUsage: number | undefined;
    swapLimit: number | undefined;
    /** memory.stat as it is, with the words of its version */
    stats: Record<string, number>;
  };
  pids: {
    /** processes and threads */
    current: number;
    /** Infinity when there is none */
    limit: number;
    /** how many forks the limit has refused */
    refused: number;
  };
  blkio: {
    serviceBytes: IoCount[];
    serviced: IoCount[];
  };
  /** Huge pages by their size: `2MB`. */
  hugetlb: Record<
    string,
    { /** bytes */ usage: number; limit: number; /** how often the limit was hit */ failcnt: number }
  >;
  /** Who had to wait for what (PSI). Of v2 and hybrid, where the kernel keeps it. */
  pressure: { cpu?: Pressure; memory?: Pressure; io?: Pressure };
}

/** For how long processes could not go on for want of something. Source: accounting/psi in the kernel's documentation */
export interface Pressure {
  /** microseconds in which at least one waited */
  some: number;
  /** microseconds in which all who wanted to run waited; 0 for the machine's processors as a whole */
  full: number;
  /** Percent of the last ten seconds, of `some`. */
  some10: number;
  full10: number;
}

/** What went to or came from one disk. */
export interface IoCount {
  major: number;
  minor: number;
  /** `Read`, `Write`, `Discard` … */
  op: string;
  /** bytes, or operations */
  value: number;
}

/** The memory that `docker stats` shows: without file contents that could be dropped at any time. */
export const workingSet = (memory: Pick<CgroupStats['memory'], 'usage' | 'inactiveFile'>): number =>
  Math.max(0, memory.usage - memory.inactiveFile);

/** A reading of two clocks at one moment: what a cgroup has used, and how far all processors together have come. */
export interface CpuSample {
  /** nanoseconds that the cgroup has used */
  usage: number;
  /** nanoseconds that the processors have been there, idle or not */
  system: number;
  /** How many processors there are. */
  processors: number;
}

/** Reads the machine's clock: the first line of /proc/stat. Source: proc(5) */
export function readProcessorTime(): Omit<CpuSample, 'usage'> {
  const lines = readFileSync('/proc/stat', 'utf8').split('\n');
  // user, nice, system, idle, iowait, irq, softirq, steal, in hundredths of a second; guests are in user already
  const ticks = lines[0]!.split(/\s+/).slice(1, 9).map(Number);
  return {
    system: ticks.reduce((sum, each) => sum + each, 0) * 1e7,
    processors: lines.filter((line) => /^cpu\d/.test(line)).length,
  };
}

/**
 * The column "CPU %" of `docker stats`: 100 is one processor, all the time between two samples. 0 when no time has passed, or the counter went
 * back (a container that was started again).
 */
export function cpuPercent(before: CpuSample, now: CpuSample): number {
  //#gap 03.6 cpuPercent
  const used = now.usage - before.usage;
  const passed = now.system - before.system;
  // `passed` is the time of all processors: so many of them fit into it.
  return used > 0 && passed > 0 ? (used / passed) * now.processors * 100 : 0;
  //#end
}

/** What a PSI file says: `cpu.pressure`, `/proc/pressure/memory`. `undefined` when the kernel does not keep it. */
export function readPressure(file: string): Pressure | undefined {
  let text: string | undefined;
  try {
    text = readControl(file);
  } catch (error) {
    if (isErrno(error, 'EOPNOTSUPP', 'ENODEV')) return undefined; // switched off, at boot or for this cgroup
    throw error;
  }
  if (text === undefined) return undefined;
  const of = (who: string): number[] =>
    (new RegExp(`^${who} avg10=([\\d.]+) .* total=(\\d+)$`, 'm').exec(text) ?? [0, 0, 0])
      .slice(1)
      .map(Number);
  const [some10 = 0, some = 0] = of('some');
  const [full10 = 0, full = 0] = of('full');
  return { some, full, some10, full10 };
}

/** The three pressures of a cgroup's folder in the tree of v2. */
export function pressures(folder: string | undefined): CgroupStats['pressure'] {
  const all: CgroupStats['pressure'] = {};
  for (const what of ['cpu', 'memory', 'io'] as const) {
    const pressure = folder && readPressure(join(folder, `${what}.pressure`));
    if (pressure) all[what] = pressure;
  }
  return all;
}

/**
 * The huge pages that a cgroup's folder counts, by size.
 * @param words the files' last words: usage, limit, and either a file that counts refusals or the line `max` of one
 */
export function hugepages(
  folder: string | undefined,
  words: { usage: string; limit: string; refused: (size: string) => number },
): CgroupStats['hugetlb'] {
  const files = (folder && ifAlive(() => readdirSync(folder))) || [];
  return Object.fromEntries(
    files.flatMap((file) => {
      const size = /^hugetlb\.(\d+[KMG]B)\./.exec(file)?.[1];
      if (!size || file !== `hugetlb.${size}.${words.usage}`) return [];
      const number = (word: string): number => readNumber(join(folder!, `hugetlb.${size}.${word}`)) ?? 0;
      return [
        [size, { usage: number(words.usage), limit: number(words.limit), failcnt: words.refused(size) }],
      ];
    }),
  );
}
