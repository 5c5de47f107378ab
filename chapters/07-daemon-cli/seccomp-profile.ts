import type { Capability } from '../01-processes/index.ts';
import type { OciSeccomp } from '../05-runtime/index.ts';

// Docker's default filter of system calls, as a table of our own. Which calls are allowed, and on what condition, are the facts of
// https://docs.docker.com/engine/security/seccomp/ and of moby/profiles, seccomp/default.json (Apache-2.0), of June 2026. Everything that is not
// here is answered with EPERM: about 60 calls that reach parts of the kernel which no namespace divides.

type Rule = NonNullable<OciSeccomp['syscalls']>[number];

const words = (text: string): string[] => text.trim().split(/\s+/);

/**
 * What every container may call. A name is the kernel's for any machine; those that a machine does not have are passed over. `…64`, `…32` and
 * `…_time64` are the wider spellings of 32-bit machines.
 */
const EVERYONE: Readonly<Record<string, string[]>> = {
  files: words(`
    access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fadvise64_64 fallocate
    fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync flock fstat fstat64 fstatat64 fstatfs fstatfs64 fsync
    ftruncate ftruncate64 futimesat getcwd getdents getdents64 ioctl lchown lchown32 link linkat listmount _llseek lseek lstat lstat64 mkdir mkdirat
    mknod mknodat name_to_handle_at newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead
    readlink readlinkat readv rename renameat renameat2 rmdir sendfile sendfile64 splice stat stat64 statfs statfs64 statmount statx symlink
    symlinkat sync sync_file_range syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write
    writev cachestat`),
  attributes: words(`
    fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat llistxattr lremovexattr lsetxattr removexattr
    removexattrat setxattr setxattrat`),
  waiting: words(`
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 fanotify_mark
    inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup
    io_submit _newselect poll ppoll ppoll_time64 pselect6 pselect6_time64 select signalfd signalfd4`),
  memory: words(`
    brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap mseal msync munlock
    munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease remap_file_pages`),
  processes: words(`
    execve execveat exit exit_group fork futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake getcpu getpgid getpgrp getpid getppid
    getpriority getrlimit get_robust_list getrusage getsid get_thread_area gettid ioprio_get ioprio_set kill pause pidfd_open pidfd_send_signal
    prctl prlimit64 restart_syscall riscv_hwprobe rseq sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min
    sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler
    sched_yield setpgid setpriority setrlimit set_robust_list setsid set_thread_area set_tid_address sysinfo tgkill tkill ugetrlimit uname
    uretprobe vfork wait4 waitid waitpid`),
  signals: words(`
    rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo
    sigaltstack sigprocmask sigreturn`),
  rights: words(`
    capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32 getresuid getresuid32
    getuid getuid32 landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp setfsgid setfsgid32 setfsuid
    setfsuid32 setgid setgid32 setgroups setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid
    setuid32`),
  time: words(`
    adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
    clock_nanosleep_time64 getitimer getrandom gettimeofday nanosleep setitimer time timer_create timer_delete timer_getoverrun timer_gettime
    timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times`),
  network: words(`
    accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 recvmsg send sendmmsg sendmsg
    sendto setsockopt shutdown socketcall socketpair`),
  messages: words(`
    ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv
    msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget`),
  // Since Linux 4.8 ptrace(2) cannot be used to get around a filter.
  tracing: words('process_vm_readv process_vm_writev ptrace'),
};

/** What a capability brings with it. The kernel would ask for the capability anyway: the filter is the second lock. */
const WITH_CAPABILITY: Partial<Record<Capability, string[]>> = {
  CAP_DAC_READ_SEARCH: words('open_by_handle_at'),
  CAP_SYS_ADMIN: words(`
    bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount
    mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare`),
  CAP_SYS_BOOT: words('reboot'),
  CAP_SYS_CHROOT: words('chroot'),
  CAP_SYS_MODULE: words('delete_module init_module finit_module'),
  CAP_SYS_PACCT: words('acct'),
  CAP_SYS_PTRACE: words('kcmp pidfd_getfd process_madvise'),
  CAP_SYS_RAWIO: words('iopl ioperm'),
  CAP_SYS_TIME: words('settimeofday stime clock_settime clock_settime64'),
  CAP_SYS_TTY_CONFIG: words('vhangup'),
  CAP_SYS_NICE: words('get_mempolicy mbind set_mempolicy set_mempolicy_home_node'),
  CAP_SYSLOG: words('syslog'),
  CAP_BPF: words('bpf'),
  CAP_PERFMON: words('perf_event_open'),
};

/** The kinds of programs that a machine runs: its own, and older ones of the same family. */
const MACHINES: Readonly<Record<string, { architectures: string[]; calls: string[] }>> = {
  x64: {
    architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
    calls: words('arch_prctl modify_ldt'),
  },
  arm64: {
    architectures: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
    calls: words('arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls'),
  },
};

/** The flags of clone(2) that make namespaces: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const NEW_NAMESPACES = 0x7e020000;
/** Sockets of every family but two that no network namespace divides: AF_ALG (38), to the kernel's ciphers, and AF_VSOCK (40), to the hypervisor. */
const SOCKETS: readonly { value: number; op: string }[] = [
  { value: 38, op: 'SCMP_CMP_LT' },
  { value: 39, op: 'SCMP_CMP_EQ' },
  { value: 40, op: 'SCMP_CMP_GT' },
];
/** Linux as it is, UNAME26, ADDR_NO_RANDOMIZE, both, and the question which it is. Source: personality(2). */
const PERSONALITIES = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff];
const ENOSYS = 38;

/**
 * Docker's default filter for a container with these capabilities in its bounding set.
 * @param arch as process.arch has it
 */
export function defaultSeccomp(capabilities: readonly Capability[], arch: string = process.arch): OciSeccomp {
  const machine = MACHINES[arch] ?? { architectures: [], calls: [] };
  const allow = (names: string[], args?: Rule['args']): Rule => ({
    names,
    action: 'SCMP_ACT_ALLOW',
    ...(args && { args }),
  });
  const mayMakeNamespaces = capabilities.includes('CAP_SYS_ADMIN');
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: 1,
    architectures: machine.architectures,
    syscalls: [
      allow([...Object.values(EVERYONE).flat(), ...machine.calls]),
      ...capabilities.flatMap((name) => (WITH_CAPABILITY[name] ? [allow(WITH_CAPABILITY[name])] : [])),
      ...SOCKETS.map((family) => allow(['socket'], [{ index: 0, ...family }])),
      ...PERSONALITIES.map((value) => allow(['personality'], [{ index: 0, value, op: 'SCMP_CMP_EQ' }])),
      ...(mayMakeNamespaces
        ? []
        : [
            allow(['clone'], [{ index: 0, value: NEW_NAMESPACES, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }]),
            // clone3's flags are in memory, where a filter cannot look: so it seems not to exist, and the C library takes clone.
            { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
          ]),
    ],
  };
}
