import { declare } from '../01-processes/index.ts';

// Namespaces: unshare(2), setns(2), clone(2)
export const c_unshare = declare<(flags: number) => number>('int unshare(int flags)');
export const c_setns = declare<(fd: number, nstype: number) => number>('int setns(int fd, int nstype)');

// Asking a namespace's file: ioctl_ns(2). The answer is a descriptor, or a user id.
export const c_ioctl = declare<(fd: number, op: number, type: 'void *', arg: Uint32Array | null) => number>(
  'int ioctl(int fd, unsigned long op, ...)',
);

// Mounts: mount(2), umount2(2), pivot_root(2), chroot(2), fchdir(2). glibc has pivot_root, though no header says so.
export const c_mount = declare<
  (source: string | null, target: string, type: string | null, flags: number, data: string | null) => number
>(
  'int mount(const char *source, const char *target, const char *filesystemtype, unsigned long mountflags, const char *data)',
);
export const c_umount2 = declare<(target: string, flags: number) => number>(
  'int umount2(const char *target, int flags)',
);
export const c_pivot_root = declare<(newRoot: string, putOld: string) => number>(
  'int pivot_root(const char *new_root, const char *put_old)',
);
export const c_chroot = declare<(path: string) => number>('int chroot(const char *path)');
export const c_fchdir = declare<(fd: number) => number>('int fchdir(int fd)');

// Objects without a path: shmget(2), msgget(2), mq_open(3)
export const c_shmget = declare<(key: number, size: number, flags: number) => number>(
  'int shmget(int key, size_t size, int shmflg)',
);
export const c_shmctl = declare<(id: number, op: number, buffer: null) => number>(
  'int shmctl(int shmid, int op, void *buf)',
);
export const c_msgget = declare<(key: number, flags: number) => number>('int msgget(int key, int msgflg)');
export const c_msgctl = declare<(id: number, op: number, buffer: null) => number>(
  'int msgctl(int msqid, int op, void *buf)',
);
export const c_mq_open = declare<
  (
    name: string,
    flags: number,
    modeType: 'unsigned int',
    mode: number,
    attrType: 'void *',
    attr: null,
  ) => number
>('int mq_open(const char *name, int oflag, ...)');
export const c_mq_unlink = declare<(name: string) => number>('int mq_unlink(const char *name)');

// Names: sethostname(2), setdomainname(2)
export const c_sethostname = declare<(name: Buffer, length: number) => number>(
  'int sethostname(const uint8_t *name, size_t len)',
);
export const c_setdomainname = declare<(name: Buffer, length: number) => number>(
  'int setdomainname(const uint8_t *name, size_t len)',
);

// Users: setresuid(2), setresgid(2), setgroups(2)
export const c_setresuid = declare<(real: number, effective: number, saved: number) => number>(
  'int setresuid(unsigned int ruid, unsigned int euid, unsigned int suid)',
);
export const c_setresgid = declare<(real: number, effective: number, saved: number) => number>(
  'int setresgid(unsigned int rgid, unsigned int egid, unsigned int sgid)',
);
export const c_setgroups = declare<(size: number, list: Uint32Array) => number>(
  'int setgroups(size_t size, const uint32_t *list)',
);

/**
 * Calls that glibc has no function for, or not on every supported system. Numbers of old calls differ between machines;
 * since Linux 5.1 a new call has one number on all of them, and these are new. Source: syscall(2).
 */
export const SYS = {
  open_tree: 428,
  move_mount: 429,
  clone3: 435,
  openat2: 437,
  mount_setattr: 442,
} as const;

export const c_clone3 = declare<(number: number, args: Buffer, size: number) => number>(
  'long syscall(long number, const uint8_t *args, size_t size)',
);
export const c_openat2 = declare<
  (number: number, dirfd: number, path: string | Buffer, how: Buffer, size: number) => number
>('long syscall(long number, int dirfd, const char *path, const uint8_t *how, size_t size)');
export const c_open_tree = declare<(number: number, dirfd: number, path: string, flags: number) => number>(
  'long syscall(long number, int dirfd, const char *path, unsigned int flags)',
);
export const c_move_mount = declare<
  (number: number, fromFd: number, from: string, toFd: number, to: string, flags: number) => number
>(
  'long syscall(long number, int from_dirfd, const char *from_path, int to_dirfd, const char *to_path, unsigned int flags)',
);
export const c_mount_setattr = declare<
  (number: number, dirfd: number, path: string, flags: number, attr: Buffer, size: number) => number
>(
  'long syscall(long number, int dirfd, const char *path, unsigned int flags, const uint8_t *attr, size_t size)',
);
