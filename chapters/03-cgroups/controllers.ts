/** What a controller is for, and where its limits are. */
export interface ControllerFacts {
  does: string;
  /** Its files in v1, the limits first. */
  v1: string;
  /** Its files in v2; or what took its place, or why there is none. */
  v2: string;
  /** `docker run` flags that write to them. */
  docker: string;
}

/**
 * What each controller counts or limits. Source: cgroups(7); cgroup-v1 and cgroup-v2 in the kernel's documentation; docker-run(1)
 */
export const CONTROLLERS = {
  cpu: {
    does: 'processor time: a share of it when it is short, and a ceiling',
    v1: 'cpu.shares cpu.cfs_quota_us cpu.cfs_period_us cpu.rt_runtime_us cpu.stat',
    v2: 'cpu.weight cpu.max cpu.idle cpu.stat cpu.pressure',
    docker: '--cpus --cpu-quota --cpu-period --cpu-shares --cpu-rt-runtime --cpu-rt-period',
  },
  cpuacct: {
    does: 'counts the processor time used',
    v1: 'cpuacct.usage cpuacct.usage_percpu cpuacct.stat',
    v2: 'cpu.stat, always there',
    docker: '',
  },
  cpuset: {
    does: 'which processors and memory nodes may be used',
    v1: 'cpuset.cpus cpuset.mems',
    v2: 'cpuset.cpus cpuset.mems cpuset.cpus.partition',
    docker: '--cpuset-cpus --cpuset-mems',
  },
  memory: {
    does: 'memory: files in the page cache, anonymous pages, kernel memory',
    v1: 'memory.limit_in_bytes memory.memsw.limit_in_bytes memory.soft_limit_in_bytes memory.swappiness memory.oom_control memory.stat',
    v2: 'memory.max memory.high memory.low memory.min memory.swap.max memory.oom.group memory.events memory.stat memory.pressure',
    docker: '--memory --memory-swap --memory-reservation --memory-swappiness --oom-kill-disable',
  },
  pids: {
    does: 'how many processes and threads there may be',
    v1: 'pids.max pids.current pids.events',
    v2: 'pids.max pids.current pids.events',
    docker: '--pids-limit',
  },
  blkio: {
    does: 'disk input and output: weights and rates',
    v1: 'blkio.weight (or blkio.bfq.weight) blkio.throttle.read_bps_device blkio.throttle.write_iops_device …',
    v2: 'the controller io',
    docker:
      '--blkio-weight --blkio-weight-device --device-read-bps --device-write-bps --device-read-iops --device-write-iops',
  },
  io: {
    does: 'disk input and output: weights and rates',
    v1: 'the controller blkio',
    v2: 'io.weight (or io.bfq.weight) io.max io.stat io.pressure',
    docker:
      '--blkio-weight --blkio-weight-device --device-read-bps --device-write-bps --device-read-iops --device-write-iops',
  },
  devices: {
    does: 'which device files may be opened and made',
    v1: 'devices.deny devices.allow devices.list',
    v2: 'no files: a BPF program',
    docker: '--device --device-cgroup-rule --privileged',
  },
  freezer: {
    does: 'stops and continues all processes at once',
    v1: 'freezer.state',
    v2: 'cgroup.freeze, always there',
    docker: 'docker pause, docker unpause',
  },
  hugetlb: {
    does: 'huge pages, by their size',
    v1: 'hugetlb.2MB.limit_in_bytes hugetlb.2MB.rsvd.limit_in_bytes',
    v2: 'hugetlb.2MB.max hugetlb.2MB.rsvd.max',
    docker: '',
  },
  net_cls: {
    does: 'marks packets, for tc and the firewall to sort',
    v1: 'net_cls.classid',
    v2: 'none: the firewall matches cgroup paths',
    docker: '',
  },
  net_prio: {
    does: 'the priority of packets on each interface',
    v1: 'net_prio.ifpriomap',
    v2: 'none: BPF programs',
    docker: '',
  },
  perf_event: {
    does: 'lets perf watch a cgroup',
    v1: 'no files of its own: perf stat -G names the cgroup',
    v2: 'perf_event, always on',
    docker: '',
  },
  rdma: {
    does: 'handles and objects of RDMA adapters',
    v1: 'rdma.max rdma.current',
    v2: 'rdma.max rdma.current',
    docker: '',
  },
  misc: {
    does: 'counted things of which a machine has few, such as SEV address spaces',
    v1: 'misc.max misc.current misc.capacity',
    v2: 'misc.max misc.current misc.capacity',
    docker: '',
  },
} as const satisfies Record<string, ControllerFacts>;

/** A controller's name: `'memory'`. */
export type Controller = keyof typeof CONTROLLERS;

export const isController = (name: string): name is Controller => Object.hasOwn(CONTROLLERS, name);
