import type { Failure, Rule } from './coach-rule.ts';
import { can, firstMissing, inUserNamespace, isThere, mountOf, textOf } from './coach-machine.ts';
import { dirname } from 'node:path';

// Files in general, and those that layers are made of: openat2(2), mknod(2), extended attributes, bpf(2). The last rules: what holds anywhere.

const MAKE = ['mknod', 'mkfifo', 'mkdir', 'symlink', 'link', 'open', 'rename', 'copyfile'];
const nodeOf = ({ paths }: Failure): string => paths[0]!;

export const fileRules: readonly Rule[] = [
  {
    calls: ['mknod'],
    codes: ['EPERM'],
    when: inUserNamespace,
    says: 'In a user namespace nobody can make devices (but for overlay’s whiteout, 0/0). Bind the host’s device file instead: MS_BIND.',
  },
  {
    calls: ['mknod'],
    codes: ['EPERM'],
    when: () => !can('CAP_MKNOD'),
    says: 'To make a device needs CAP_MKNOD, and this process does not have it. Make devices before capabilities are dropped.',
  },
  {
    calls: ['mknod', 'mkfifo', 'mkdir', 'symlink', 'link'],
    codes: ['EEXIST'],
    says: (failure) =>
      `Something is at ${nodeOf(failure)} already. Remove it first, or take EEXIST for success if what is there is what you want.`,
  },
  {
    calls: ['openat2'],
    codes: ['EXDEV'],
    says: 'The path leads out of the folder that it must stay below (RESOLVE_BENEATH): by "..", by an absolute link or a leading slash. Use RESOLVE_IN_ROOT if these are to end at the root, as in a container.',
  },
  {
    calls: ['openat2'],
    codes: ['ELOOP'],
    says: 'There is a symbolic link where none may be (RESOLVE_NO_SYMLINKS or RESOLVE_NO_MAGICLINKS), or links lead in a circle. Look at each part of the path with lstat.',
  },
  {
    calls: ['openat2'],
    codes: ['EINVAL', 'E2BIG'],
    says: 'openat2 is stricter than open: an unknown flag, a mode without O_CREAT, or a size other than that of struct open_how (24 bytes) is refused. Set unused fields to 0.',
  },
  {
    calls: ['openat2'],
    codes: ['ENOENT'],
    says: ({ subject }) =>
      `${subject} does not exist below the folder that was given; links in it begin at that folder, not at the host's root. Make the part that is missing, or copy it in.`,
  },
  {
    calls: ['openat2', 'open', 'scandir', 'mkdir'],
    codes: ['ENOTDIR'],
    says: ({ subject }) =>
      `A part of ${subject} that should be a directory is a file, or the flag O_DIRECTORY was set for a file. Look at each part with lstat.`,
  },
  {
    calls: ['lsetxattr', 'setxattr'],
    codes: ['EPERM'],
    when: () => !can('CAP_SYS_ADMIN') || inUserNamespace(),
    says: 'Attributes named trusted.* may be set only with CAP_SYS_ADMIN in the host’s user namespace. Set them before capabilities are dropped; in a user namespace overlay uses user.overlay.* with the option userxattr.',
  },
  {
    calls: ['lsetxattr', 'setxattr', 'lgetxattr'],
    codes: ['ENOTSUP'],
    says: 'This file system, or this kind of file, takes no attribute of that name: user.* goes on files and directories alone, and a name needs a prefix such as trusted. or user.',
  },
  {
    calls: ['bpf', 'seccomp'],
    codes: ['EPERM'],
    says: 'To load a program needs CAP_BPF (for cgroups also CAP_NET_ADMIN), or CAP_SYS_ADMIN. Load it before capabilities are dropped.',
  },
  {
    calls: ['seccomp', 'prctl'],
    codes: ['EACCES'],
    when: () => textOf('/proc/self/status').includes('NoNewPrivs:\t0'),
    says: 'A filter may be set only with CAP_SYS_ADMIN or after no_new_privs: otherwise it could mislead a setuid program. Call prctl(PR_SET_NO_NEW_PRIVS, 1) first.',
  },
  {
    calls: [...MAKE, 'unlink', 'rmdir', 'write'],
    codes: ['EROFS'],
    says: (failure) =>
      `The file system is read-only here (${mountOf(firstThere(nodeOf(failure))).mountPoint}). Write before it is remounted read-only, or mount something writable there.`,
  },
  {
    calls: [...MAKE, 'scandir', 'stat', 'lstat', 'readlink', 'unlink', 'rmdir', 'chdir', 'chown', 'chmod'],
    codes: ['ENOENT'],
    when: ({ paths }) => !isThere(paths[0]),
    says: (failure) =>
      `${firstMissing(nodeOf(failure))} does not exist in the root that this process sees now. Make it first, or open what you need before the root or the mount namespace is changed.`,
  },
  {
    calls: ['read', 'write', 'close', 'fchdir', 'fstat', 'fcntl', 'dup2'],
    codes: ['EBADF'],
    says: 'The descriptor is not open: it was closed before, in this process, or never opened. Close each one once, and after its last use.',
  },
  {
    calls: ['write'],
    codes: ['EPIPE'],
    says: 'Nobody has the reading end of the pipe open any more. The reader has ended; look at how it ended.',
  },
];

const firstThere = (path: string): string => (isThere(path) ? path : dirname(firstMissing(path)));
