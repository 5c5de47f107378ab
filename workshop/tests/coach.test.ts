import {
  chmodSync,
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import {
  checked,
  declare,
  execve,
  fork,
  getpid,
  getppid,
  getWindowSize,
  inChild,
  kill,
  limitBounding,
  openPty,
  pipe,
  PR,
  prctl,
  raiseAmbient,
  setCapabilities,
  setControllingTerminal,
  setParentDeathSignal,
  setsid,
  SIGNALS,
  SyscallError,
  waitpid,
  type Trial,
} from '../../chapters/01-processes/index.ts';
import {
  chroot,
  clone,
  CLONE,
  mount,
  MS,
  pivotRoot,
  runTool,
  setgid,
  setgroups,
  sethostname,
  setns,
  setuid,
  umount,
  unshare,
  writeIdMaps,
  openInRoot,
} from '../../chapters/02-namespaces/index.ts';
import { createCgroup, detectCgroups } from '../../chapters/03-cgroups/index.ts';
import { makeWhiteout, openDirectory, setXattr } from '../../chapters/04-overlayfs/index.ts';
import { explain } from '../coach.ts';

// Every cause is provoked for real, in a child with a mount namespace of its own, and explained there.

interface Place {
  /** An empty folder. */
  folder: string;
  /** A word that nothing else has. */
  word: string;
}
type Row = [title: string, provoke: (place: Place) => unknown, expected: string];

const c_openat2 = declare<
  (nr: number, fd: number, path: string, how: BigUint64Array, size: number) => number
>('long syscall(long number, int dirfd, const char *path, const uint64_t *how, size_t size)');
const c_prctl = declare<(op: number, mode: number, filter: Buffer) => number>(
  'int prctl(int op, unsigned long mode, const uint8_t *filter)',
);
const c_mknod = declare<(path: string, mode: number, dev: number) => number>(
  'int mknod(const char *path, unsigned int mode, uint64_t dev)',
);

const dropAll = (): void => setCapabilities({ effective: [], permitted: [], inheritable: [] });
const tmpfs = (target: string): string => {
  mkdirSync(target, { recursive: true });
  mount({ source: 'tmpfs', target, type: 'tmpfs' });
  return target;
};
const made = (path: string, text = '', mode = 0o644): string => {
  writeFileSync(path, text, { mode });
  return path;
};
const folderIn = (folder: string, name: string): string => {
  mkdirSync(join(folder, name));
  return join(folder, name);
};
/** A user namespace around this process, whose maps a child of the parent's rights writes. */
function mappedUser(extra = 0): void {
  const me = getpid();
  const { read, write } = pipe();
  const helper = fork(() => {
    closeSync(write);
    readSync(read, Buffer.alloc(1));
    const range = [{ containerID: 0, hostID: 0, size: 1000 }];
    writeIdMaps(me, { uid: range, gid: range });
  });
  unshare(CLONE.NEWUSER | extra);
  closeSync(write);
  closeSync(read);
  waitpid(helper);
}

const MOUNTS: Row[] = [
  ['mount without the capability', ({ folder }) => (dropAll(), tmpfs(folder)), 'need CAP_SYS_ADMIN'],
  [
    'mount in a user namespace without a mount namespace',
    ({ folder }) => (unshare(CLONE.NEWUSER), tmpfs(folder)),
    'CLONE_NEWNS together with CLONE_NEWUSER',
  ],
  [
    'proc in a user namespace with the host’s pid namespace',
    ({ folder }) => {
      mappedUser(CLONE.NEWNS);
      mount({ source: 'proc', target: folder, type: 'proc' });
    },
    'only where the pid namespace belongs to it',
  ],
  [
    'mount on nothing',
    ({ folder }) => mount({ source: 'tmpfs', target: join(folder, 'a/b'), type: 'tmpfs' }),
    'The mount point does not exist',
  ],
  [
    'bind from nothing',
    ({ folder }) => mount({ source: join(folder, 'a'), target: folder, flags: MS.BIND }),
    'The source of the mount does not exist',
  ],
  [
    'overlay with a lower directory that is missing',
    ({ folder }) =>
      mount({ source: 'overlay', target: folder, type: 'overlay', data: `lowerdir=${folder}/a:${folder}/b` }),
    'One of the directories in the options',
  ],
  [
    'overlay with an upper but no work directory',
    ({ folder }) => {
      tmpfs(folder);
      for (const name of ['l', 'u', 'm']) mkdirSync(join(folder, name));
      mount({
        source: 'overlay',
        target: join(folder, 'm'),
        type: 'overlay',
        data: `lowerdir=${folder}/l,upperdir=${folder}/u`,
      });
    },
    'an upperdir needs a workdir',
  ],
  [
    'a directory bound on a file',
    ({ folder }) => mount({ source: folder, target: made(join(folder, 'f')), flags: MS.BIND }),
    'the mount point is a file',
  ],
  [
    'a file bound on a directory',
    ({ folder }) => mount({ source: made(join(folder, 'f')), target: folder, flags: MS.BIND }),
    'the mount point is a directory',
  ],
  [
    'a file system mounted on a file',
    ({ folder }) => mount({ source: 'tmpfs', target: made(join(folder, 'f')), type: 'tmpfs' }),
    'can be mounted only on a directory',
  ],
  [
    'a file system that the kernel lacks',
    ({ folder, word }) => mount({ target: folder, type: word }),
    'no file system of this type',
  ],
  [
    'a directory given to a file system of disks',
    ({ folder }) => {
      const disk = readFileSync('/proc/filesystems', 'utf8')
        .split('\n')
        .find((line) => line.startsWith('\t'))!
        .trim();
      mount({ source: folder, target: folder, type: disk });
    },
    'lies on a block device',
  ],
  [
    'remount read-only while a file is open',
    ({ folder }) => {
      tmpfs(folder);
      openSync(join(folder, 'f'), 'w');
      mount({ target: folder, flags: MS.REMOUNT | MS.RDONLY });
    },
    'while a file in it is open for writing (process ',
  ],
  [
    'propagation of what is no mount',
    ({ folder }) => mount({ target: folder, flags: MS.PRIVATE }),
    'is no mount point, and only a mount can be remounted',
  ],
  [
    'a bind of an unbindable mount',
    ({ folder }) => {
      tmpfs(folder);
      mount({ target: folder, flags: MS.UNBINDABLE });
      mount({ source: folder, target: folder, flags: MS.BIND });
    },
    'lies on a mount that is unbindable',
  ],
  [
    'a bind without MS_BIND',
    ({ folder }) => mount({ source: folder, target: folder }),
    'neither a type nor MS_BIND',
  ],
  [
    'an option that the file system does not know',
    ({ folder, word }) => mount({ source: 'tmpfs', target: folder, type: 'tmpfs', data: word }),
    'tmpfs does not know one of its options',
  ],
  ['umount of nothing', ({ folder }) => umount(join(folder, 'a')), 'nothing is mounted there'],
  ['umount of what is no mount', ({ folder }) => umount(folder), 'is no mount point in this mount namespace'],
  [
    'umount of a mount that is locked',
    ({ folder }) => {
      tmpfs(folder);
      unshare(CLONE.NEWUSER | CLONE.NEWNS);
      umount(folder);
    },
    'more privileged mount namespace and is locked',
  ],
  [
    'umount with a mount below',
    ({ folder }) => {
      tmpfs(join(tmpfs(folder), 'a'));
      umount(folder);
    },
    'There are mounts below',
  ],
  [
    'umount with an open file',
    ({ folder }) => {
      openSync(join(tmpfs(folder), 'f'), 'w');
      umount(folder);
    },
    'has a file in it open',
  ],
];

const ROOTS: Row[] = [
  [
    'pivot_root without the capability',
    ({ folder }) => (dropAll(), pivotRoot(folder, folder)),
    'pivot_root needs CAP_SYS_ADMIN',
  ],
  [
    'chroot without the capability',
    ({ folder }) => (dropAll(), chroot(folder)),
    'chroot needs CAP_SYS_CHROOT',
  ],
  ['chroot to nothing', ({ folder }) => chroot(join(folder, 'a')), 'The new root does not exist'],
  [
    'chroot to a file',
    ({ folder }) => chroot(made(join(folder, 'f'))),
    'is no directory, and a root must be one',
  ],
  [
    'pivot_root on shared mounts',
    ({ folder }) => {
      mount({ target: '/', flags: MS.SHARED | MS.REC });
      tmpfs(folder);
      pivotRoot(folder, folder);
    },
    'MS_REC | MS_PRIVATE',
  ],
  [
    'pivot_root to what is no mount point',
    ({ folder }) => pivotRoot(folder, folder),
    'is no mount point: pivot_root swaps mounts',
  ],
  [
    'pivot_root with the old root on the root mount',
    ({ folder }) => pivotRoot(tmpfs(join(folder, 'a')), folderIn(folder, 'b')),
    'lies on the mount that is the root now',
  ],
  [
    'pivot_root with the old root elsewhere',
    ({ folder }) => pivotRoot(tmpfs(join(folder, 'a')), tmpfs(join(folder, 'b'))),
    'is not at or below the new root',
  ],
];

const NAMESPACES: Row[] = [
  [
    'a kind of namespace whose limit is 0',
    () => {
      mappedUser();
      writeFileSync('/proc/sys/user/max_uts_namespaces', '0');
      unshare(CLONE.NEWUTS);
    },
    'max_uts_namespaces is 0',
  ],
  [
    'more namespaces than the limit',
    () => {
      mappedUser();
      writeFileSync('/proc/sys/user/max_uts_namespaces', '1');
      unshare(CLONE.NEWUTS);
      unshare(CLONE.NEWUTS);
    },
    'The limit of namespaces is reached (max_uts_namespaces is 1)',
  ],
  [
    'a user namespace by nobody',
    () => (unshare(CLONE.NEWUSER), unshare(CLONE.NEWUSER)),
    'has no uid_map yet',
  ],
  [
    'a user namespace after chroot',
    ({ folder }) => {
      mount({ source: '/', target: folder, flags: MS.BIND | MS.REC });
      chroot(folder);
      unshare(CLONE.NEWUSER);
    },
    'whose root was changed by chroot',
  ],
  [
    'unshare without the capability',
    () => (dropAll(), unshare(CLONE.NEWUTS)),
    'Only CLONE_NEWUSER can be had without',
  ],
  ['unshare with flags of nothing', () => unshare(1), 'name no kind of namespace'],
  [
    'clone with flags that do not go together',
    () => clone(CLONE.NEWUSER | CLONE.FS, () => 0),
    'does not go with CLONE_FS',
  ],
  [
    'setns with a closed descriptor',
    () => {
      const fd = openSync('/proc/self/ns/uts', 'r');
      closeSync(fd);
      setns(fd, CLONE.NEWUTS);
    },
    'it was closed before it was joined',
  ],
  ['setns with a file', () => setns(openSync('/etc/passwd', 'r'), CLONE.NEWUTS), 'which is no namespace'],
  [
    'setns with the flag of another kind',
    () => setns(openSync('/proc/self/ns/uts', 'r'), CLONE.NEWNET),
    'asks for a namespace of kind net',
  ],
  [
    'setns into the own user namespace',
    () => setns(openSync('/proc/self/ns/user', 'r'), CLONE.NEWUSER),
    'in that user namespace already',
  ],
  [
    'setns into a namespace of the host from a user namespace',
    () => {
      const fd = openSync('/proc/self/ns/uts', 'r');
      unshare(CLONE.NEWUSER);
      setns(fd, CLONE.NEWUTS);
    },
    'belongs to a user namespace in which this process has no rights',
  ],
  [
    'a host name that is too long',
    () => (unshare(CLONE.NEWUTS), sethostname('x'.repeat(65))),
    'this one has 65',
  ],
  [
    'the host’s name from a user namespace',
    () => (unshare(CLONE.NEWUSER), sethostname('x')),
    'CLONE_NEWUTS together with CLONE_NEWUSER',
  ],
  [
    'a host name without the capability',
    () => (unshare(CLONE.NEWUTS), dropAll(), sethostname('x')),
    'host name needs CAP_SYS_ADMIN',
  ],
  [
    'the namespace of a process that is gone',
    () => openSync('/proc/4194303/ns/net', 'r'),
    'There is no process 4194303',
  ],
  [
    '/proc in a root that has none',
    ({ folder }) => {
      chroot(folder);
      openSync('/proc/self/ns/net', 'r');
    },
    'No proc is mounted',
  ],
  ['a user that is not mapped', () => (mappedUser(), setuid(5000)), 'The id 5000 is not in the uid_map'],
  ['a group that is not mapped', () => (mappedUser(), setgid(5000)), 'The id 5000 is not in the gid_map'],
];

const one = (host = 0) => [{ containerID: 0, hostID: host, size: 1 }];
/** A child in a new user namespace, which waits until its parent ends. */
function userChild(): number {
  const { read, write } = pipe();
  const pid = fork(() => {
    prctl(PR.SET_DUMPABLE, 1);
    unshare(CLONE.NEWUSER);
    setParentDeathSignal(SIGNALS['SIGKILL']!);
    writeSync(write, 'x');
    readSync(pipe().read, Buffer.alloc(1));
  });
  readSync(read, Buffer.alloc(1));
  return pid;
}
/** From here on a user without rights, whose children's files in /proc are still its own. */
function becomeUser(): void {
  setgroups([]);
  setgid(1000);
  setuid(1000);
  prctl(PR.SET_DUMPABLE, 1);
}
/** As the layers write to /proc: the path is in the error. */
function write(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (error) {
    throw new Error(`write ${JSON.stringify(text)} to ${path}`, { cause: error });
  }
}

const RIGHTS: Row[] = [
  [
    'a map that is written twice',
    () => {
      const pid = userChild();
      writeIdMaps(pid, { uid: one(), gid: one() });
      writeIdMaps(pid, { uid: one(), gid: one() });
    },
    'uid_map has been written already (0 0 1)',
  ],
  [
    'a map of a process that did not unshare',
    () => writeIdMaps(getpid(), { uid: one(), gid: one() }),
    'in the same user namespace as this one',
  ],
  [
    'groups mapped by an unprivileged writer without deny',
    () => {
      becomeUser();
      const pid = userChild();
      writeIdMaps(pid, { uid: one(1000), gid: one(1000) });
    },
    'Write "deny" to /proc/PID/setgroups before gid_map',
  ],
  [
    'more ids than an unprivileged writer may map',
    () => {
      becomeUser();
      const pid = userChild();
      writeIdMaps(pid, { uid: [{ containerID: 0, hostID: 1000, size: 2 }], gid: one(1000) });
    },
    'more needs CAP_SETUID and CAP_SETGID',
  ],
  [
    'a process that maps more than itself',
    () => {
      unshare(CLONE.NEWUSER);
      writeIdMaps(getpid(), { uid: [{ containerID: 0, hostID: 0, size: 2 }], gid: one() });
    },
    'The process writes its own uid_map',
  ],
  [
    'setgroups denied after gid_map',
    () => {
      const pid = userChild();
      writeIdMaps(pid, { uid: one(), gid: one() });
      write(`/proc/${pid}/setgroups`, 'deny');
    },
    'can be denied only before gid_map',
  ],
  [
    'a map with a range of nothing',
    () => write(`/proc/${userChild()}/uid_map`, '0 0 0'),
    'A map is lines of three numbers',
  ],
  [
    'setgroups where it is denied',
    () => {
      unshare(CLONE.NEWUSER);
      writeFileSync('/proc/self/setgroups', 'deny');
      setgroups([]);
    },
    '/proc/self/setgroups says deny',
  ],
  ['setgroups before the map', () => (unshare(CLONE.NEWUSER), setgroups([])), 'has no gid_map yet'],
  [
    'groups after the user',
    () => (setuid(1000), setgid(1000)),
    'Set groups first, then the group, and the user last',
  ],
  ['a second user', () => (setuid(1000), setuid(1001)), 'To become another user needs CAP_SETUID'],
  [
    'a capability that is gone',
    () => {
      dropAll();
      setCapabilities({ effective: ['CAP_KILL'] });
    },
    'permitted can not grow (it has 0 capabilities now)',
  ],
  [
    'the bounding set, too late',
    () => (dropAll(), limitBounding([])),
    'Limit the bounding set before the other sets',
  ],
  [
    'an ambient capability that is not inheritable',
    () => raiseAmbient('CAP_KILL'),
    'Put it into the inheritable set first',
  ],
  ['prctl of nothing', () => prctl(99_999), 'prctl knows no such operation'],
];

const program = (path: string, ...argv: string[]): never => execve(path, [path, ...argv], []);
const PROCESSES: Row[] = [
  [
    'fork after PID 1 of the namespace has ended',
    () => {
      unshare(CLONE.NEWPID);
      waitpid(fork(() => 0));
      fork(() => 0);
    },
    'The PID 1 of the pid namespace',
  ],
  ['execve of nothing', ({ folder }) => program(join(folder, 'a')), 'execve searches no PATH'],
  [
    'execve of a script whose interpreter is missing',
    ({ folder }) => program(made(join(folder, 'f'), '#!/no/such\n', 0o755)),
    '/no/such is missing in this root',
  ],
  ['execve of a directory', ({ folder }) => program(folder), 'is a directory. Give the path of a program'],
  [
    'execve on a mount without exec',
    ({ folder }) => {
      mount({ source: 'tmpfs', target: folder, type: 'tmpfs', flags: MS.NOEXEC });
      program(made(join(folder, 'f'), '#!/bin/sh\n', 0o755));
    },
    'mounted noexec',
  ],
  [
    'execve of a file without the x bit',
    ({ folder }) => program(made(join(folder, 'f'), '#!/bin/sh\n')),
    'it has no x bit',
  ],
  [
    'execve of what is no program',
    ({ folder }) => program(made(join(folder, 'f'), 'text', 0o755)),
    'neither an ELF file',
  ],
  [
    'execve with an argument that is too long',
    () => program('/bin/true', 'x'.repeat(200_000)),
    'a single one may have 128 KiB',
  ],
  [
    'execve of a file that is open for writing',
    ({ folder }) => {
      const path = made(join(folder, 'f'), '#!/bin/sh\n', 0o755);
      openSync(path, 'a');
      program(path);
    },
    'is open for writing, so it can not be run',
  ],
  ['waitpid for somebody else’s child', () => waitpid(getppid()), 'is no child of this one'],
  [
    'waitpid twice',
    () => {
      const pid = fork(() => 0);
      waitpid(pid);
      waitpid(pid);
    },
    'it has been waited for already',
  ],
  [
    'kill of a process that is gone',
    () => {
      const pid = fork(() => 0);
      waitpid(pid);
      kill(pid, 15);
    },
    'it has ended and was waited for',
  ],
  [
    'kill of another user’s process',
    () => (setuid(1000), kill(getppid(), 15)),
    'is of user 0, this one of user 1000',
  ],
  ['kill with a number that is no signal', () => kill(getpid(), 100), 'There is no signal of this number'],
  ['setsid twice', () => (setsid(), setsid()), 'leads a process group already'],
];

const openSlave = (): number => openSync(openPty().slavePath, constants.O_RDWR | constants.O_NOCTTY);
const TERMINALS: Row[] = [
  [
    'a controlling terminal without a session',
    () => setControllingTerminal(openSlave()),
    'Call setsid first',
  ],
  [
    'a second controlling terminal',
    () => {
      setsid();
      setControllingTerminal(openSlave());
      setControllingTerminal(openSlave());
    },
    'has a controlling terminal already',
  ],
  [
    'the controlling terminal of another session, without the right to take it',
    () => {
      setsid();
      const slave = openSlave();
      setControllingTerminal(slave);
      return explainedIn(() => {
        setsid();
        setControllingTerminal(slave);
      });
    },
    'of another session',
  ],
  [
    'a pair asked of a file',
    ({ folder }) => openPty(made(join(folder, 'f'))),
    'not the master of a pseudo-terminal',
  ],
  [
    'the size of a file',
    ({ folder }) => getWindowSize(openSync(made(join(folder, 'f')), 'r')),
    'is no terminal: a file, a pipe',
  ],
  ['the size of a closed descriptor', () => getWindowSize(999), 'The descriptor is not open here'],
  [
    'a slave that is locked',
    () => {
      openSync('/dev/ptmx', constants.O_RDWR | constants.O_NOCTTY);
      const newest = Math.max(
        ...readdirSync('/dev/pts')
          .filter((name) => name !== 'ptmx')
          .map(Number),
      );
      openSync(`/dev/pts/${newest}`, 'r+');
    },
    'Call ioctl TIOCSPTLCK',
  ],
];

const openat2 = (folder: string, path: string, resolve: number, size = 24): number =>
  checked(
    'openat2',
    c_openat2(437, openDirectory(folder), path, new BigUint64Array([0n, 0n, BigInt(resolve), 1n]), size),
    JSON.stringify(path),
  );
const FILES: Row[] = [
  [
    'a device in a user namespace',
    ({ folder }) => (mappedUser(), checked('mknod', c_mknod(join(folder, 'd'), 0o20600, 259), 'd')),
    'Bind the host’s device file',
  ],
  [
    'a device without the capability',
    ({ folder }) => (dropAll(), checked('mknod', c_mknod(join(folder, 'd'), 0o20600, 259), 'd')),
    'needs CAP_MKNOD',
  ],
  ['a whiteout where something is', ({ folder }) => makeWhiteout(folder), 'Something is at'],
  ['a path that climbs', ({ folder }) => openat2(folder, '../x', 8), 'Use RESOLVE_IN_ROOT'],
  [
    'a link where none may be',
    ({ folder }) => {
      symlinkSync('/etc', join(folder, 'l'));
      openat2(folder, 'l', 4);
    },
    'a symbolic link where none may be',
  ],
  [
    'openat2 with a size that is wrong',
    ({ folder }) => openat2(folder, '.', 0, 8),
    'struct open_how (24 bytes)',
  ],
  [
    'a path that is missing in a root',
    ({ folder }) => openInRoot(openDirectory(folder), 'a', { flags: 0 }),
    'does not exist below the folder',
  ],
  [
    'a file taken for a directory',
    ({ folder }) => (made(join(folder, 'f')), openInRoot(openDirectory(folder), 'f/a', { flags: 0 })),
    'should be a directory is a file',
  ],
  [
    'a trusted attribute without the capability',
    ({ folder }) => (dropAll(), setXattr(folder, 'trusted.x', Buffer.from('y'))),
    'Attributes named trusted',
  ],
  [
    'an attribute without a prefix',
    ({ folder }) => setXattr(folder, 'x', Buffer.from('y')),
    'a name needs a prefix',
  ],
  [
    'a seccomp filter without no_new_privs',
    () => {
      dropAll();
      const filter = Buffer.alloc(16); // of one instruction, which is not even looked at
      filter.writeUInt16LE(1);
      checked('prctl', c_prctl(22, 2, filter), 'PR_SET_SECCOMP');
    },
    'Call prctl(PR_SET_NO_NEW_PRIVS, 1) first',
  ],
  [
    'a write to what is mounted read-only',
    ({ folder }) => {
      mount({ source: 'tmpfs', target: folder, type: 'tmpfs', flags: MS.RDONLY });
      writeFileSync(join(folder, 'f'), '');
    },
    'The file system is read-only here',
  ],
  [
    'a file in a folder that is missing',
    ({ folder }) => openSync(join(folder, 'a/b'), 'w'),
    'does not exist in the root that this process sees',
  ],
  ['a descriptor that is closed', () => writeSync(999, 'x'), 'it was closed before, in this process'],
  [
    'a pipe that nobody reads',
    () => {
      const { read, write: end } = pipe();
      closeSync(read);
      writeSync(end, 'x');
    },
    'Nobody has the reading end',
  ],
];

const ip = (...args: string[]): string => runTool('ip', args);
const bridge = (name: string): void => {
  unshare(CLONE.NEWNET);
  ip('link', 'add', 'name', name, 'type', 'bridge');
};
const NETWORK: Row[] = [
  [
    'ip without the capability',
    () => (unshare(CLONE.NEWNET), setuid(1000), ip('link', 'add', 'name', 'a', 'type', 'bridge')),
    'needs CAP_NET_ADMIN',
  ],
  [
    'a link that is there',
    () => (bridge('a'), ip('link', 'add', 'name', 'a', 'type', 'bridge')),
    'There is an interface of this name already',
  ],
  [
    'a link that is not there',
    () => (unshare(CLONE.NEWNET), ip('link', 'set', 'dev', 'a', 'up')),
    'There is no interface of this name',
  ],
  [
    'a name that is too long',
    () => (unshare(CLONE.NEWNET), ip('link', 'add', 'name', 'a'.repeat(16), 'type', 'bridge')),
    '1 to 15 characters',
  ],
  [
    'an address twice',
    () => {
      bridge('a');
      for (const _ of [1, 2]) ip('address', 'add', '10.7.7.1/24', 'dev', 'a');
    },
    'The interface has this address already',
  ],
  [
    'a route by a gateway that is not in sight',
    () => {
      bridge('a');
      ip('link', 'set', 'dev', 'a', 'up');
      ip('route', 'add', 'default', 'via', '192.0.2.7');
    },
    'The gateway cannot be reached directly',
  ],
  [
    'a second default route',
    () => {
      bridge('a');
      ip('address', 'add', '10.7.7.1/24', 'dev', 'a');
      ip('link', 'set', 'dev', 'a', 'up');
      for (const _ of [1, 2]) ip('route', 'add', 'default', 'via', '10.7.7.2');
    },
    'There is such a route already',
  ],
  [
    'a route over what is down',
    () => (bridge('a'), ip('route', 'add', '10.7.8.0/24', 'dev', 'a')),
    'The interface is down',
  ],
  [
    'a rule in a table that is missing',
    () => (unshare(CLONE.NEWNET), runTool('nft', ['add', 'chain', 'ip', 'nothing', 'here'])),
    'Add the table first',
  ],
  [
    'nft with a rule that it cannot read',
    () => runTool('nft', ['-c', 'add', 'nonsense']),
    'nft cannot read the rule',
  ],
];

/** What the coach says of an error, in a child of its own. */
function explainedIn(fn: () => unknown): string | undefined {
  const undo: (() => void | Promise<void>)[] = [];
  const trial = { cleanup: (action: () => void) => void undo.push(action) } as unknown as Trial;
  try {
    return inChild(trial, () => {
      try {
        const said = fn();
        return typeof said === 'string' ? said : 'nothing was refused';
      } catch (error) {
        return explain(error) ?? `unexplained: ${String(error)}`;
      }
    }).result;
  } finally {
    for (const action of undo.reverse()) void action();
  }
}

/** A cgroup of the test's own in the tree that has the controller of processes, and one in that of v2; taken away afterwards. */
function withCgroup(fn: (v1OrV2: string, unified: string) => string | undefined): string | undefined {
  const host = detectCgroups();
  const path = `/coach-${basename(mkdtempSync(join(top, 'g'))).toLowerCase()}`;
  const cgroup = createCgroup(path);
  try {
    return fn(cgroup.paths()['pids']!, join(host.unified ?? '/sys/fs/cgroup', path));
  } finally {
    // Its processes are gone with the child. (A threaded cgroup refuses cgroup.kill.)
    cgroup.remove();
  }
}

const CGROUPS: [title: string, provoke: (pids: string, unified: string) => unknown, expected: string][] = [
  [
    'rmdir with a cgroup below',
    (pids) => (mkdirSync(join(pids, 'child')), rmdirSync(pids)),
    'There are cgroups below it: child',
  ],
  [
    'rmdir with a process inside',
    (pids) => (put(pids, 'cgroup.procs', '0'), rmdirSync(pids)),
    'Processes are still in the cgroup',
  ],
  [
    'a file of a cgroup deleted',
    (pids) => unlinkSync(join(pids, 'cgroup.procs')),
    'can not be deleted one by one',
  ],
  ['mkdir below nothing', (pids) => mkdirSync(join(pids, 'a/b')), 'Make cgroups from the top down'],
  ['mkdir twice', (pids) => mkdirSync(pids), 'There is a cgroup of this name already'],
  [
    'a write to a tree that is mounted read-only',
    (pids) => {
      mount({ source: pids, target: pids, flags: MS.BIND });
      mount({ target: pids, flags: MS.REMOUNT | MS.BIND | MS.RDONLY });
      put(pids, 'pids.max', '5');
    },
    'mounted read-only here',
  ],
  [
    'a write to a cgroup that is missing',
    (pids) => put(join(pids, 'a'), 'pids.max', '5'),
    'does not exist. Make it first',
  ],
  [
    'a limit whose controller is not switched on',
    (_, unified) => (mkdirSync(join(unified, 'child')), put(join(unified, 'child'), 'memory.max', '5')),
    'the controller memory is not switched on',
  ],
  [
    'a controller that the cgroup does not have',
    (_, unified) => (
      mkdirSync(join(unified, 'child')),
      put(join(unified, 'child'), 'cgroup.subtree_control', '+pids')
    ),
    'Switch it on from the top of the tree down',
  ],
  [
    'a controller that nobody knows',
    (_, unified) => put(unified, 'cgroup.subtree_control', '+nonsense'),
    'That is no controller that this kernel knows',
  ],
  [
    'a process in a cgroup below a threaded one',
    (_, unified) => {
      mkdirSync(join(unified, 'child'));
      put(unified, 'cgroup.type', 'threaded');
      put(join(unified, 'child'), 'cgroup.procs', '0');
    },
    'it stands below a threaded one',
  ],
  [
    'a process that is gone',
    (pids) => put(pids, 'cgroup.procs', '4194303'),
    'There is no process 4194303 that the kernel could move',
  ],
  [
    'something that is no process',
    (pids) => put(pids, 'cgroup.procs', 'me'),
    'one process number in one write',
  ],
  [
    'a limit that is no number',
    (pids) => put(pids, 'pids.max', 'many'),
    'pids.max does not take the value "many"',
  ],
  [
    'a cgroup of somebody else',
    (pids) => (setuid(1000), mkdirSync(join(pids, 'child'))),
    'This process may not change that cgroup',
  ],
  [
    'fork at the limit of processes',
    (pids) => {
      put(pids, 'cgroup.procs', '0');
      put(pids, 'pids.max', '1');
      fork(() => 0);
    },
    'A limit of processes is reached',
  ],
];

/** As the layers write a limit: value and file are in the error. */
function put(folder: string, file: string, value: string): void {
  const path = join(folder, file);
  try {
    const fd = openSync(path, constants.O_WRONLY);
    try {
      writeSync(fd, value);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw new SyscallError(
      'write',
      -(error as NodeJS.ErrnoException).errno!,
      `${JSON.stringify(value)} to ${JSON.stringify(path)}`,
    );
  }
}

const top = mkdtempSync(join(tmpdir(), 'coach-'));
chmodSync(top, 0o755);
afterAll(() => rmSync(top, { recursive: true }));

describe.each([
  ['mounts', MOUNTS],
  ['roots', ROOTS],
  ['namespaces', NAMESPACES],
  ['rights', RIGHTS],
  ['processes', PROCESSES],
  ['terminals', TERMINALS],
  ['files', FILES],
  ['networks', NETWORK],
])('the coach on %s', (_, rows) => {
  test.each(rows)('%s', (_title, provoke, expected) => {
    const folder = mkdtempSync(join(top, 'c'));
    chmodSync(folder, 0o755);
    const said = explainedIn(() => {
      unshare(CLONE.NEWNS);
      mount({ target: '/', flags: MS.REC | MS.PRIVATE });
      return provoke({ folder, word: basename(folder).toLowerCase() });
    });
    expect(said).toContain(expected);
  });
});

describe('the coach on cgroups', () => {
  test.each(CGROUPS)('%s', (_title, provoke, expected) => {
    const said = withCgroup((pids, unified) =>
      explainedIn(() => {
        unshare(CLONE.NEWNS);
        mount({ target: '/', flags: MS.REC | MS.PRIVATE });
        return provoke(pids, unified);
      }),
    );
    expect(said).toContain(expected);
  });
});

describe('the coach on a process with threads', () => {
  const refused = (fn: () => unknown): string => {
    try {
      fn();
    } catch (error) {
      return explain(error) ?? String(error);
    }
    throw new Error('nothing was refused');
  };

  test('that wants a user namespace', () => {
    expect(refused(() => unshare(CLONE.NEWUSER))).toContain('Fork first, and do it in the child');
  });

  test('that joins a mount namespace', () => {
    const fd = openSync('/proc/self/ns/mnt', 'r');
    expect(refused(() => setns(fd, CLONE.NEWNS))).toContain('Call unshare(CLONE_FS) first');
    closeSync(fd);
  });
});

describe('the coach on sockets', () => {
  const refused = (path: string): Promise<string | undefined> =>
    new Promise((resolve) => createConnection(path).once('error', (error) => resolve(explain(error))));

  test('that are missing', async () => {
    expect(await refused(join(top, 'none.sock'))).toContain('There is no socket at this path');
  });

  test('whose daemon has ended, or that are taken', async () => {
    const path = join(top, 'old.sock');
    const server = createServer().listen(path);
    await new Promise((resolve) => server.once('listening', resolve));
    const taken = await new Promise((resolve) =>
      createServer()
        .once('error', (e) => resolve(explain(e)))
        .listen(path),
    );
    expect(taken).toContain('The address is taken');
    renameSync(path, `${path}.kept`); // closing unlinks the name it knows
    await new Promise((resolve) => server.close(resolve));
    expect(await refused(`${path}.kept`)).toContain('nobody listens');
  });
});

test('the coach says nothing of what is no failed call', () => {
  expect(explain(new TypeError('mine'))).toBeUndefined();
  expect(explain('text')).toBeUndefined();
});
