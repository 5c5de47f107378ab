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
