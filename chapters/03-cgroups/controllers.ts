/** What each controller counts or limits. `v2` names what took its place, or why there is none. Source: cgroups(7), cgroup-v2 in the kernel's documentation. */
export const CONTROLLERS = {
  cpu: { does: 'processor time: a share of it when it is short, and a ceiling', v2: 'cpu' },
  cpuacct: { does: 'counts the processor time used', v2: 'cpu.stat, always there' },
  cpuset: { does: 'which processors and memory nodes may be used', v2: 'cpuset' },
  memory: { does: 'memory: files in the page cache, anonymous pages, kernel memory', v2: 'memory' },
  pids: { does: 'how many processes and threads there may be', v2: 'pids' },
  blkio: { does: 'disk input and output: weights and rates', v2: 'io' },
  io: { does: 'disk input and output: weights and rates', v2: 'io' },
  devices: { does: 'which device files may be opened and made', v2: 'a BPF program' },
  freezer: { does: 'stops and continues all processes at once', v2: 'cgroup.freeze, always there' },
  hugetlb: { does: 'huge pages, by their size', v2: 'hugetlb' },
  net_cls: {
    does: 'marks packets, for tc and the firewall to sort',
    v2: 'the firewall matches cgroup paths',
  },
  net_prio: { does: 'the priority of packets on each interface', v2: 'BPF programs' },
  perf_event: { does: 'lets perf watch a cgroup', v2: 'perf_event, always on' },
  rdma: { does: 'handles and objects of RDMA adapters', v2: 'rdma' },
  misc: { does: 'counted things of which a machine has few, such as SEV address spaces', v2: 'misc' },
} as const satisfies Record<string, { does: string; v2: string }>;

/** A controller's name: `'memory'`. */
export type Controller = keyof typeof CONTROLLERS;

export const isController = (name: string): name is Controller => Object.hasOwn(CONTROLLERS, name);
