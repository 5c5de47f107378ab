/**
 * What used to be "being root", in 41 pieces: the number is the bit in the kernel's masks, the line says what a process
 * can do with it. Docker gives a container the fourteen marked `docker`. Source: capabilities(7), linux/capability.h.
 */
export const CAPABILITIES = {
  CAP_CHOWN: { number: 0, docker: true, allows: 'give a file to any user and group' },
  CAP_DAC_OVERRIDE: { number: 1, docker: true, allows: 'read, write and execute files against their mode' },
  CAP_DAC_READ_SEARCH: { number: 2, docker: false, allows: 'read any file and folder; open files by handle' },
  CAP_FOWNER: {
    number: 3,
    docker: true,
    allows: 'do what only the owner of a file may: chmod, set its times',
  },
  CAP_FSETID: { number: 4, docker: true, allows: 'keep setuid and setgid bits when a file is written' },
  CAP_KILL: { number: 5, docker: true, allows: "signal any user's process" },
  CAP_SETGID: { number: 6, docker: true, allows: 'become any group; write gid maps' },
  CAP_SETUID: { number: 7, docker: true, allows: 'become any user; write uid maps' },
  CAP_SETPCAP: {
    number: 8,
    docker: true,
    allows: 'drop from the bounding set; make inheritable what is in it',
  },
  CAP_LINUX_IMMUTABLE: {
    number: 9,
    docker: false,
    allows: 'set the immutable and append-only flags of files',
  },
  CAP_NET_BIND_SERVICE: { number: 10, docker: true, allows: 'listen on ports below 1024' },
  CAP_NET_BROADCAST: { number: 11, docker: false, allows: 'nothing that Linux checks today' },
  CAP_NET_ADMIN: {
    number: 12,
    docker: false,
    allows: 'configure interfaces, addresses, routes and firewalls',
  },
  CAP_NET_RAW: { number: 13, docker: true, allows: 'send and read raw packets: ping, tcpdump, ARP spoofing' },
  CAP_IPC_LOCK: { number: 14, docker: false, allows: 'lock memory against swapping without limit' },
  CAP_IPC_OWNER: { number: 15, docker: false, allows: 'use System V IPC objects against their mode' },
  CAP_SYS_MODULE: { number: 16, docker: false, allows: 'load code into the kernel' },
  CAP_SYS_RAWIO: { number: 17, docker: false, allows: 'reach I/O ports, /dev/mem and raw disk commands' },
  CAP_SYS_CHROOT: { number: 18, docker: true, allows: 'chroot; enter mount namespaces' },
  CAP_SYS_PTRACE: { number: 19, docker: false, allows: 'trace, read and write any process' },
  CAP_SYS_PACCT: { number: 20, docker: false, allows: 'switch process accounting on and off' },
  CAP_SYS_ADMIN: {
    number: 21,
    docker: false,
    allows: 'mount, unshare, setns, quotas and much else: nearly root',
  },
  CAP_SYS_BOOT: { number: 22, docker: false, allows: 'reboot; load another kernel with kexec' },
  CAP_SYS_NICE: {
    number: 23,
    docker: false,
    allows: 'raise priorities; choose schedulers and processors for others',
  },
  CAP_SYS_RESOURCE: { number: 24, docker: false, allows: 'go beyond quotas and limits; raise hard limits' },
  CAP_SYS_TIME: { number: 25, docker: false, allows: 'set the clock' },
  CAP_SYS_TTY_CONFIG: { number: 26, docker: false, allows: 'hang up and configure virtual terminals' },
  CAP_MKNOD: { number: 27, docker: true, allows: 'make device files' },
  CAP_LEASE: { number: 28, docker: false, allows: "take leases on others' files" },
  CAP_AUDIT_WRITE: { number: 29, docker: true, allows: "write to the kernel's audit log" },
  CAP_AUDIT_CONTROL: { number: 30, docker: false, allows: 'configure auditing' },
  CAP_SETFCAP: {
    number: 31,
    docker: true,
    allows: 'give capabilities to files; map root into user namespaces',
  },
  CAP_MAC_OVERRIDE: { number: 32, docker: false, allows: 'pass Smack rules' },
  CAP_MAC_ADMIN: { number: 33, docker: false, allows: 'change Smack rules' },
  CAP_SYSLOG: { number: 34, docker: false, allows: "read and clear the kernel's log; see kernel addresses" },
  CAP_WAKE_ALARM: { number: 35, docker: false, allows: 'set timers that wake the machine' },
  CAP_BLOCK_SUSPEND: { number: 36, docker: false, allows: 'keep the machine from sleeping' },
  CAP_AUDIT_READ: { number: 37, docker: false, allows: "read the kernel's audit log" },
  CAP_PERFMON: { number: 38, docker: false, allows: 'watch performance counters of the whole machine' },
  CAP_BPF: { number: 39, docker: false, allows: 'load BPF programs and maps' },
  CAP_CHECKPOINT_RESTORE: {
    number: 40,
    docker: false,
    allows: 'choose process ids; freeze processes to disk and back',
  },
} as const satisfies Record<string, { number: number; docker: boolean; allows: string }>;

/** A capability's name: `'CAP_CHOWN'`. */
export type Capability = keyof typeof CAPABILITIES;

/** What Docker leaves a container's root: enough to install packages and run servers, not to touch the machine. */
export const DOCKER_CAPABILITIES = (Object.keys(CAPABILITIES) as Capability[]).filter(
  (name) => CAPABILITIES[name].docker,
);
