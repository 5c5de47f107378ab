/**
 * Limits for a group of processes, in the JSON shape of the OCI runtime spec ("linux.resources"). What is not given stays as it is.
 * Source: https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#control-groups
 */
export interface LinuxResources {
  /** Rules in order; a later one overrides an earlier one. */
  devices?: DeviceRule[] | undefined;
  memory?: MemoryResources | undefined;
  cpu?: CpuResources | undefined;
  pids?: { /** -1 is unlimited */ limit?: number | undefined } | undefined;
  blockIO?: BlockIoResources | undefined;
  hugepageLimits?: { /** `2MB`, `1GB` */ pageSize: string; /** bytes */ limit: number }[] | undefined;
  network?:
    | {
        classID?: number | undefined;
        priorities?: { name: string; priority: number }[] | undefined;
      }
    | undefined;
  rdma?: Record<string, { hcaHandles?: number; hcaObjects?: number }> | undefined;
  /** Files of v2 and what to write to them, as they are: `{"memory.high": "1000000"}`. */
  unified?: Record<string, string> | undefined;
}

export interface DeviceRule {
  allow: boolean;
  /** a all, c character, b block; all when it is missing */
  type?: string | undefined;
  /** Any, when missing or negative. */
  major?: number | undefined;
  minor?: number | undefined;
  /** Of r (read), w (write), m (mknod); all three when missing. */
  access?: string | undefined;
}

export interface MemoryResources {
  /** bytes; -1 is unlimited */
  limit?: number | undefined;
  /** bytes that are taken last when memory is short; -1 is unlimited */
  reservation?: number | undefined;
  /** bytes of memory *and* swap together, on v2 too; -1 is unlimited */
  swap?: number | undefined;
  /** bytes of TCP buffers; v1 only */
  kernelTCP?: number | undefined;
  /** No longer there in kernels: ignored, as runc does. */
  kernel?: number | undefined;
  /** 0 to 100; v1 only */
  swappiness?: number | undefined;
  /** Processes wait instead of being killed; v1 only. */
  disableOOMKiller?: boolean | undefined;
  useHierarchy?: boolean | undefined;
  checkBeforeUpdate?: boolean | undefined;
}

export interface CpuResources {
  /** Weight against others when processors are busy: 2 to 262144, 1024 is ordinary. */
  shares?: number | undefined;
  /** microseconds of processor time in each period; -1 is unlimited */
  quota?: number | undefined;
  /** microseconds, 1000 to 1000000 */
  period?: number | undefined;
  /** microseconds that may be saved up for bursts */
  burst?: number | undefined;
  /** microseconds; v1 only */
  realtimeRuntime?: number | undefined;
  realtimePeriod?: number | undefined;
  /** Processors, as a list: `0-2,7`. */
  cpus?: string | undefined;
  /** Memory nodes, as a list. */
  mems?: string | undefined;
  /** 1: run only when nothing else wants to. */
  idle?: number | undefined;
}

export interface BlockIoResources {
  /** 10 to 1000 */
  weight?: number | undefined;
  leafWeight?: number | undefined;
  weightDevice?: { major: number; minor: number; weight?: number; leafWeight?: number }[] | undefined;
  /** bytes a second */
  throttleReadBpsDevice?: Rate[] | undefined;
  throttleWriteBpsDevice?: Rate[] | undefined;
  /** operations a second */
  throttleReadIOPSDevice?: Rate[] | undefined;
  throttleWriteIOPSDevice?: Rate[] | undefined;
}

export interface Rate {
  major: number;
  minor: number;
  rate: number;
}
