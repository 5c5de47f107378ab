import { declare } from '../01-processes/index.ts';

// (ssize_t is intptr_t to koffi. A Buffer given as a string carries its own NUL.)
// Special files and extended attributes: mknod(2), setxattr(2). What whiteouts and opaque directories are made of.
export const c_mknod = declare<(path: string | Buffer, mode: number, dev: number) => number>(
  'int mknod(const char *path, unsigned int mode, uint64_t dev)',
);
export const c_lsetxattr = declare<
  (path: string | Buffer, name: string | Buffer, value: Uint8Array, size: number, flags: number) => number
>('int lsetxattr(const char *path, const char *name, const void *value, size_t size, int flags)');
export const c_lgetxattr = declare<
  (path: string | Buffer, name: string | Buffer, value: Uint8Array | null, size: number) => number
>('intptr_t lgetxattr(const char *path, const char *name, void *value, size_t size)');
export const c_llistxattr = declare<(path: string | Buffer, list: Uint8Array | null, size: number) => number>(
  'intptr_t llistxattr(const char *path, void *list, size_t size)',
);

// Times in nanoseconds: utimensat(2)
export const c_utimensat = declare<
  (dirfd: number, path: string | Buffer, times: BigInt64Array, flags: number) => number
>('int utimensat(int dirfd, const char *path, const int64_t *times, int flags)');

// Locks on open files: flock(2)
export const c_flock = declare<(fd: number, operation: number) => number>('int flock(int fd, int operation)');

/**
 * The new mount API, a step at a time: fsopen(2), fsconfig(2), fsmount(2), of Linux 5.2. glibc has no functions for them before 2.36; the
 * numbers are the same on all machines.
 */
export const SYS = { fsopen: 430, fsconfig: 431, fsmount: 432 } as const;

export const c_fsopen = declare<(number: number, fsname: string, flags: number) => number>(
  'long syscall(long number, const char *fsname, unsigned int flags)',
);
export const c_fsconfig = declare<
  (number: number, fd: number, cmd: number, key: string | null, value: string | null, aux: number) => number
>('long syscall(long number, int fd, unsigned int cmd, const char *key, const char *value, int aux)');
export const c_fsmount = declare<(number: number, fd: number, flags: number, attr: number) => number>(
  'long syscall(long number, int fd, unsigned int flags, unsigned int attr_flags)',
);

// Requests to a filesystem: ioctl(2), ioctl_btrfs(2)
export const c_btrfs_ioctl = declare<(fd: number, op: number, type: 'void *', arg: Buffer) => number>(
  'int ioctl(int fd, unsigned long op, ...)',
);
