import { closeSync, openSync, readdirSync, readlinkSync } from 'node:fs';
import { checked, isErrno, listPids } from '../01-processes/index.ts';
import { c_setns, c_unshare } from './syscalls.ts';

/** What clone(2), unshare(2) and setns(2) are told by bits. Source: namespaces(7), clone(2). */
export const CLONE = {
  NEWTIME: 0x80,
  FS: 0x200,
  FILES: 0x400,
  PARENT: 0x8000,
  NEWNS: 0x20000,
  NEWCGROUP: 0x2000000,
  NEWUTS: 0x4000000,
  NEWIPC: 0x8000000,
  NEWUSER: 0x10000000,
  NEWPID: 0x20000000,
  NEWNET: 0x40000000,
} as const;

/** A namespace's kind, as its file in /proc/PID/ns is called. */
export type NamespaceKind = 'mnt' | 'uts' | 'ipc' | 'pid' | 'net' | 'user' | 'cgroup' | 'time';

/** What each of the eight namespaces isolates, and its flag. The order is the one in which to join them: user first. */
export const NAMESPACES: Readonly<Record<NamespaceKind, { flag: number; isolates: string }>> = {
  user: { flag: CLONE.NEWUSER, isolates: 'user and group ids, and what root may do' },
  cgroup: { flag: CLONE.NEWCGROUP, isolates: 'the root of the cgroup tree as it is seen' },
  ipc: { flag: CLONE.NEWIPC, isolates: 'System V IPC, POSIX message queues' },
  uts: { flag: CLONE.NEWUTS, isolates: 'host name and domain name' },
  net: { flag: CLONE.NEWNET, isolates: 'interfaces, addresses, routes, ports, firewall' },
  pid: { flag: CLONE.NEWPID, isolates: 'process ids; the first process is its init' },
  time: { flag: CLONE.NEWTIME, isolates: 'the monotonic and the boot clock' },
  mnt: { flag: CLONE.NEWNS, isolates: 'mount points' },
};

const kinds = Object.keys(NAMESPACES) as NamespaceKind[];

/** Flags as a person reads them: `flagNames(0x4020000) === 'CLONE_NEWNS|CLONE_NEWUTS'`. */
export function flagNames(flags: number): string {
  const names = Object.entries(CLONE).filter(([, bit]) => flags & bit);
  return names.map(([name]) => `CLONE_${name}`).join('|') || '0';
}

/**
 * Leaves the namespaces that the flags name, for new ones of the same kinds. It acts on the calling thread. Two kinds are not for
 * the caller but for the children that it makes next: pid and time.
 * Source: unshare(2).
 * @throws SyscallError EPERM without CAP_SYS_ADMIN (only NEWUSER needs none); EINVAL for NEWUSER in a process with several
 * threads, and every Node has several: fork first; ENOSPC at the limit in /proc/sys/user
 */
export function unshare(flags: number): void {
  checked('unshare', c_unshare(flags), flagNames(flags));
}

/**
 * Moves the calling thread into the namespace that an open descriptor of /proc/PID/ns/KIND (or of a bind mount of it) names.
 * A pid namespace takes only the children made from now on.
 * Source: setns(2).
 * @param type the CLONE.NEW… flag that the descriptor must be of; 0 for any
 * @throws SyscallError EINVAL (another kind; several threads and NEWUSER, NEWNS or NEWTIME), EPERM
 */
export function setns(fd: number, type = 0): void {
  checked('setns', c_setns(fd, type), `fd ${fd} as ${flagNames(type)}`);
}

/**
 * The namespaces of a process by kind: `{ uts: 'uts:[4026531838]', … }`. Two processes share a namespace when the numbers are
 * the same. A kind that this kernel lacks is missing.
 * @throws ENOENT when there is no such process, EACCES when it is not ours to look at
 */
export function namespaceIds(pid: number | 'self'): Partial<Record<NamespaceKind, string>> {
  const present = new Set(readdirSync(`/proc/${pid}/ns`));
  return Object.fromEntries(
    kinds.filter((kind) => present.has(kind)).map((kind) => [kind, namespaceId(pid, kind)]),
  );
}

/** One namespace of a process: `namespaceId('self', 'uts') === 'uts:[4026531838]'`. */
export function namespaceId(pid: number | 'self', kind: NamespaceKind): string {
  return readlinkSync(`/proc/${pid}/ns/${kind}`);
}

/** The path by which a process's namespace is joined: `/proc/PID/ns/KIND`. */
export const namespacePath = (pid: number | 'self', kind: NamespaceKind): string => `/proc/${pid}/ns/${kind}`;

/**
 * Joins namespaces by their paths, as `nsenter` does. All are opened before the first is joined: afterwards the old /proc, or
 * the right to look into it, may be gone. The user namespace comes first, because it gives the rights to join the others;
 * the mount namespace last. A pid namespace takes only the children made from now on.
 * @throws RangeError for a kind that there is not; SyscallError as setns; ENOENT when a path is not there. Joined so far stays joined: use it in a child.
 */
export function joinNamespaces(paths: Partial<Record<NamespaceKind, string>>): void {
  const unknown = Object.keys(paths).find((kind) => !Object.hasOwn(NAMESPACES, kind));
  if (unknown !== undefined)
    throw new RangeError(`unknown namespace ${JSON.stringify(unknown)}: one of ${kinds.join(', ')}`);
  //#gap 02.1 joinNamespaces
  const fds = new Map<NamespaceKind, number>();
  try {
    for (const kind of kinds) {
      const path = paths[kind];
      if (path !== undefined) fds.set(kind, openSync(path, 'r'));
    }
    for (const [kind, fd] of fds) {
      // The working directory and the root may be shared between threads: the kernel refuses to move one of them alone.
      if (kind === 'mnt') unshare(CLONE.FS);
      setns(fd, NAMESPACES[kind].flag);
    }
  } finally {
    for (const fd of fds.values()) closeSync(fd);
  }
  //#end
}

/** A namespace and who is in it. */
export interface NamespaceEntry {
  kind: NamespaceKind;
  /** `uts:[4026531838]` */
  id: string;
  /** Processes in it, ascending. */
  pids: number[];
}

/**
 * Every namespace that a process of this /proc is in, as `lsns` lists them. Left out are processes that end meanwhile, and those that
 * are not ours to look at (root too meets them: processes with a capability that it lacks).
 */
export function listNamespaces(): NamespaceEntry[] {
  const found = new Map<string, NamespaceEntry>();
  for (const pid of listPids())
    for (const [kind, id] of Object.entries(visibleNamespaces(pid))) {
      const entry = found.get(id) ?? { kind: kind as NamespaceKind, id, pids: [] };
      entry.pids.push(pid);
      found.set(id, entry);
    }
  return [...found.values()];
}

function visibleNamespaces(pid: number): Partial<Record<NamespaceKind, string>> {
  try {
    return namespaceIds(pid);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH', 'EACCES')) return {};
    throw error;
  }
}
