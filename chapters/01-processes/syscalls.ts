import koffi from 'koffi';

/** The C library of this machine. Later chapters declare what they add against the same handle. */
export const libc = koffi.load('libc.so.6');

/**
 * Declares one C function by its prototype, in the man page's wording. koffi's results are untyped: the type is given
 * here, once.
 */
export function declare<F extends (...args: never[]) => unknown>(prototype: string): F {
  return libc.func(prototype) as unknown as F;
}

/** errno(3) of the last call. Read it before anything else runs. */
export const lastErrno = (): number => koffi.errno();

/** The text of an error number. strerror(3). */
export const strerror = declare<(errno: number) => string>('const char *strerror(int errnum)');

// Life of a process: fork(2), execve(2), wait(2), _exit(2)
export const c_fork = declare<() => number>('int fork(void)');
export const c_madvise = declare<(addr: number, length: number, advice: number) => number>(
  'int madvise(intptr_t addr, size_t length, int advice)',
);
export const c_execve = declare<(path: string, argv: (string | null)[], envp: (string | null)[]) => number>(
  'int execve(const char *path, const char **argv, const char **envp)',
);
export const c_waitpid = declare<(pid: number, status: [number], options: number) => number>(
  'int waitpid(int pid, _Out_ int *status, int options)',
);
export const c_exit = declare<(status: number) => never>('void _exit(int status)');
export const c_getpid = declare<() => number>('int getpid(void)');
/** The calling thread: in the main thread it is the process's own id. */
export const c_gettid = declare<() => number>('int gettid(void)');
export const c_getppid = declare<() => number>('int getppid(void)');

// Signals: signal(2), sigprocmask(2), kill(2)
export const c_signal = declare<(signum: number, handler: number) => bigint>(
  'intptr_t signal(int signum, intptr_t handler)',
);
export const c_sigprocmask = declare<(how: number, set: Buffer, old: Buffer | null) => number>(
  'int sigprocmask(int how, const uint8_t *set, _Out_ uint8_t *oldset)',
);
export const c_kill = declare<(pid: number, sig: number) => number>('int kill(int pid, int sig)');

// Properties of a process: prctl(2), and the session it belongs to: setsid(2)
export const c_prctl = declare<(op: number, a: number, b: number, c: number, d: number) => number>(
  'int prctl(int op, unsigned long a, unsigned long b, unsigned long c, unsigned long d)',
);
export const c_setsid = declare<() => number>('int setsid(void)');

// Descriptors: fcntl(2), pipe(2), dup2(2), read(2), write(2), close(2). `read` and `write` are Node's own fs.readSync
// and fs.writeSync; what Node lacks is here.
export const c_fcntl = declare<(fd: number, op: number, type: 'int', arg: number) => number>(
  'int fcntl(int fd, int op, ...)',
);
export const c_pipe2 = declare<(fds: Int32Array, flags: number) => number>(
  'int pipe2(int *pipefd, int flags)',
);
export const c_dup2 = declare<(oldfd: number, newfd: number) => number>('int dup2(int oldfd, int newfd)');

// Terminals: ioctl_tty(2). The last argument is an int or a pointer, as the request wants it.
export const c_ioctl = declare<
  (fd: number, op: number, type: 'int' | 'void *', arg: number | Int32Array | Uint16Array) => number
>('int ioctl(int fd, unsigned long op, ...)');

// Capabilities: capget(2). Header: version and pid; data: effective, permitted, inheritable, low words then high words.
export const c_capget = declare<(header: Uint32Array, data: Uint32Array) => number>(
  'int capget(uint32_t *hdrp, uint32_t *datap)',
);
export const c_capset = declare<(header: Uint32Array, data: Uint32Array) => number>(
  'int capset(uint32_t *hdrp, const uint32_t *datap)',
);

// Extended attributes of a file, links followed: getxattr(2), setxattr(2). (ssize_t is intptr_t to koffi.)
export const c_getxattr = declare<(path: string, name: string, value: Uint8Array, size: number) => number>(
  'intptr_t getxattr(const char *path, const char *name, void *value, size_t size)',
);
export const c_setxattr = declare<
  (path: string, name: string, value: Uint8Array, size: number, flags: number) => number
>('int setxattr(const char *path, const char *name, const void *value, size_t size, int flags)');
