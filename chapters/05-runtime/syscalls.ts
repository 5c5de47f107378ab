import koffi from 'koffi';
import { declare } from '../01-processes/index.ts';

// Devices: mknod(2)
export const c_mknodat = declare<(dirfd: number, path: string, mode: number, dev: number) => number>(
  'int mknodat(int dirfd, const char *pathname, unsigned int mode, unsigned long dev)',
);

// Who a process is: setresuid(2), setgroups(2), setrlimit(2), close_range(2)
export const c_setresuid = declare<(r: number, e: number, s: number) => number>(
  'int setresuid(unsigned int ruid, unsigned int euid, unsigned int suid)',
);
export const c_setresgid = declare<(r: number, e: number, s: number) => number>(
  'int setresgid(unsigned int rgid, unsigned int egid, unsigned int sgid)',
);
export const c_setgroups = declare<(size: number, list: Uint32Array) => number>(
  'int setgroups(size_t size, const uint32_t *list)',
);
export const c_setrlimit = declare<(resource: number, limit: BigUint64Array) => number>(
  'int setrlimit(int resource, const uint64_t *rlim)',
);
export const c_close_range = declare<(first: number, last: number, flags: number) => number>(
  'int close_range(unsigned int first, unsigned int last, int flags)',
);
const c_syscall_keyctl = declare<(number: number, op: number, name: string) => number>(
  'long syscall(long number, int operation, const char *name)',
);
/** keyctl(2) has no function in glibc, and a number for each kind of machine. */
const SYS_keyctl = process.arch === 'arm64' ? 219 : 250;
export const c_keyctl = (op: number, name: string): number => Number(c_syscall_keyctl(SYS_keyctl, op, name));

// When and where a process runs, and for which kind of machine: sched_setattr(2), ioprio_set(2), sched_setaffinity(2), personality(2)
const ofMachine = (x64: number, arm64: number): number => (process.arch === 'arm64' ? arm64 : x64);
const c_syscall_sched_setattr = declare<(number: number, pid: number, attr: Buffer, flags: number) => number>(
  'long syscall(long number, int pid, const uint8_t *attr, unsigned int flags)',
);
/** sched_setattr(2) has no function in glibc before 2.41. */
export const c_sched_setattr = (pid: number, attr: Buffer): number =>
  Number(c_syscall_sched_setattr(ofMachine(314, 274), pid, attr, 0));
const c_syscall_ioprio_set = declare<
  (number: number, which: number, who: number, priority: number) => number
>('long syscall(long number, int which, int who, int ioprio)');
export const c_ioprio_set = (which: number, who: number, priority: number): number =>
  Number(c_syscall_ioprio_set(ofMachine(251, 30), which, who, priority));
export const c_sched_setaffinity = declare<(pid: number, size: number, mask: Buffer) => number>(
  'int sched_setaffinity(int pid, size_t cpusetsize, const uint8_t *mask)',
);
export const c_personality = declare<(persona: number) => number>('int personality(unsigned long persona)');

// A descriptor of another process: pidfd_open(2), pidfd_getfd(2)
const SYS_pidfd_open = 434;
const SYS_pidfd_getfd = 438;
const c_syscall_pidfd = declare<(number: number, first: number, second: number, flags: number) => number>(
  'long syscall(long number, int first, int second, unsigned int flags)',
);
export const c_pidfd_open = (pid: number): number => Number(c_syscall_pidfd(SYS_pidfd_open, pid, 0, 0));
export const c_pidfd_getfd = (pidfd: number, fd: number): number =>
  Number(c_syscall_pidfd(SYS_pidfd_getfd, pidfd, fd, 0));

// Terminals and interfaces: ioctl(2)
export const c_ioctl = declare<
  (fd: number, request: number, type: 'int' | 'void *', arg: number | Int32Array | Buffer) => number
>('int ioctl(int fd, unsigned long request, ...)');

// Sockets, and descriptors sent over them: socket(2), connect(2), sendmsg(2), unix(7)
export const c_socket = declare<(domain: number, type: number, protocol: number) => number>(
  'int socket(int domain, int type, int protocol)',
);
export const c_connect = declare<(fd: number, address: Buffer, length: number) => number>(
  'int connect(int sockfd, const uint8_t *addr, uint32_t addrlen)',
);
export const c_bind = declare<(fd: number, address: Buffer, length: number) => number>(
  'int bind(int sockfd, const uint8_t *addr, uint32_t addrlen)',
);
export const c_recv = declare<(fd: number, buffer: Buffer, length: number, flags: number) => number>(
  'long recv(int sockfd, _Out_ uint8_t *buf, size_t len, int flags)',
);
export const c_socketpair = declare<
  (domain: number, type: number, protocol: number, sv: Int32Array) => number
>('int socketpair(int domain, int type, int protocol, int *sv)');

koffi.struct('iovec', { iov_base: 'uint8_t *', iov_len: 'size_t' });
koffi.struct('msghdr', {
  msg_name: 'void *',
  msg_namelen: 'uint32_t',
  msg_iov: 'iovec *',
  msg_iovlen: 'size_t',
  msg_control: 'uint8_t *',
  msg_controllen: 'size_t',
  msg_flags: 'int',
});
const c_sendmsg = declare<(fd: number, message: object, flags: number) => number>(
  'long sendmsg(int sockfd, const msghdr *msg, int flags)',
);
const c_recvmsg = declare<(fd: number, message: object, flags: number) => number>(
  'long recvmsg(int sockfd, _Inout_ msghdr *msg, int flags)',
);

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
/** struct cmsghdr (16 bytes) and one descriptor. */
const CONTROL_BYTES = 20;
const MSG_CMSG_CLOEXEC = 0x40000000;

const message = (base: unknown, length: number, control: unknown): object => ({
  msg_name: null,
  msg_namelen: 0,
  msg_iov: [{ iov_base: base, iov_len: length }],
  msg_iovlen: 1,
  msg_control: control,
  msg_controllen: 24,
  msg_flags: 0,
});

/** sendmsg(2) with one descriptor beside `data`. -1 and errno when it fails. */
export function c_sendDescriptor(socket: number, fd: number, data: string): number {
  const control = Buffer.alloc(24);
  control.writeBigUInt64LE(BigInt(CONTROL_BYTES));
  control.writeInt32LE(SOL_SOCKET, 8);
  control.writeInt32LE(SCM_RIGHTS, 12);
  control.writeInt32LE(fd, 16);
  const bytes = Buffer.from(data);
  return Number(c_sendmsg(socket, message(bytes, bytes.length, control), 0));
}

/** recvmsg(2) of what `c_sendDescriptor` sent: the descriptor, or -1 when none came. */
export function c_receiveDescriptor(socket: number): number {
  const control = koffi.alloc('int32_t', 6);
  const bytes = koffi.alloc('uint8_t', 256);
  try {
    if (Number(c_recvmsg(socket, message(bytes, 256, control), MSG_CMSG_CLOEXEC)) <= 0) return -1;
    const words = koffi.decode(control, koffi.array('int32_t', 6)) as Int32Array;
    return words[0] === CONTROL_BYTES && words[3] === SCM_RIGHTS ? words[4]! : -1;
  } finally {
    koffi.free(control);
    koffi.free(bytes);
  }
}

/** What this runtime calls in libseccomp. Source: seccomp_init(3) and the pages beside it. */
export interface LibSeccomp {
  init(defaultAction: number): unknown;
  release(filter: unknown): void;
  attrSet(filter: unknown, attribute: number, value: number): number;
  archAdd(filter: unknown, token: number): number;
  archExist(filter: unknown, token: number): number;
  resolveName(name: string): number;
  /** `args`: an array of struct scmp_arg_cmp, 24 bytes each */
  ruleAdd(filter: unknown, action: number, syscall: number, count: number, args: Buffer): number;
  /** Of the machine `token`; negative when it has no such call. */
  resolveNameOf(token: number, name: string): number;
  /** Writes the program that the kernel is to run. */
  exportProgram(filter: unknown, fd: number): number;
}

/** Loads the library, which only containers with a filter need. @throws Error that says which package has it */
export function loadLibSeccomp(): LibSeccomp {
  let library: ReturnType<typeof koffi.load>;
  try {
    library = koffi.load('libseccomp.so.2');
  } catch (cause) {
    throw new Error('linux.seccomp: libseccomp.so.2 is not here: install the package libseccomp2', { cause });
  }
  const f = <F>(prototype: string): F => library.func(prototype) as unknown as F;
  return {
    init: f('void *seccomp_init(uint32_t def_action)'),
    release: f('void seccomp_release(void *ctx)'),
    attrSet: f('int seccomp_attr_set(void *ctx, int attr, uint32_t value)'),
    archAdd: f('int seccomp_arch_add(void *ctx, uint32_t arch_token)'),
    archExist: f('int seccomp_arch_exist(void *ctx, uint32_t arch_token)'),
    resolveName: f('int seccomp_syscall_resolve_name(const char *name)'),
    ruleAdd: f(
      'int seccomp_rule_add_array(void *ctx, uint32_t action, int syscall, unsigned int arg_cnt, const uint8_t *arg_array)',
    ),
    resolveNameOf: f('int seccomp_syscall_resolve_name_arch(uint32_t arch_token, const char *name)'),
    exportProgram: f('int seccomp_export_bpf(void *ctx, int fd)'),
  };
}

koffi.struct('sock_fprog', { len: 'uint16_t', filter: 'const uint8_t *' });
const c_syscall_seccomp = declare<(number: number, op: number, flags: number, program: object) => number>(
  'long syscall(long number, unsigned int operation, unsigned int flags, const sock_fprog *args)',
);
const SECCOMP_SET_MODE_FILTER = 1;
/** sizeof(struct sock_filter) */
export const BPF_INSTRUCTION_BYTES = 8;
/** seccomp(2), SECCOMP_SET_MODE_FILTER: 0, or a descriptor if `flags` ask for a listener. */
export const c_seccomp_set_filter = (flags: number, program: Buffer): number =>
  Number(
    c_syscall_seccomp(ofMachine(317, 277), SECCOMP_SET_MODE_FILTER, flags, {
      len: program.length / BPF_INSTRUCTION_BYTES,
      filter: program,
    }),
  );

/** What a signal is, in words. Source: strsignal(3). */
export const c_strsignal = declare<(signal: number) => string>('const char *strsignal(int sig)');

/** memfd_create(2): a file without a name. */
export const c_memfd_create = declare<(name: string, flags: number) => number>(
  'int memfd_create(const char *name, unsigned int flags)',
);

const SYS_move_mount = 429;
/** Both ends are the descriptors themselves, with no path behind them. */
const MOVE_MOUNT_EMPTY_PATHS = 0x4 | 0x40;
const c_syscall_move_mount = declare<
  (number: number, from: number, fromPath: string, to: number, toPath: string, flags: number) => number
>(
  'long syscall(long number, int from_dirfd, const char *from_pathname, int to_dirfd, const char *to_pathname, unsigned int flags)',
);
/** move_mount(2), from a descriptor onto a descriptor. */
export const c_move_mount = (from: number, to: number): number =>
  Number(c_syscall_move_mount(SYS_move_mount, from, '', to, '', MOVE_MOUNT_EMPTY_PATHS));
export const c_fcntl = declare<(fd: number, op: number, type: 'int', arg: number) => number>(
  'int fcntl(int fd, int op, ...)',
);
export const c_execveat = declare<
  (dirfd: number, path: string, argv: (string | null)[], envp: (string | null)[], flags: number) => number
>('int execveat(int dirfd, const char *pathname, const char **argv, const char **envp, int flags)');
