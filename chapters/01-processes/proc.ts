import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { isErrno } from './errors.ts';

/** Whose folder in /proc: a process id, or the process that asks. */
export type Pid = number | 'self';

/**
 * What the kernel answers about one process, or `undefined` when that process does not exist (any more). Between two
 * looks at a process it may end, and that is an ordinary answer: opening says ENOENT then, and reading from what was
 * opened in time says ESRCH. Everything in this chapter that reads about a process gives `undefined` for it.
 * @throws what the kernel refuses for other reasons, such as EACCES
 */
export function ifAlive<T>(read: () => T): T | undefined {
  //#region ifAlive
  try {
    return read();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return undefined;
    throw error;
  }
  //#endregion
}

/**
 * The same for the links of /proc, where the kernel answers EACCES about a process that has just ended: it finds nobody whose
 * permission it could compare. Whoever is still there did refuse.
 */
export function ifAliveLink<T>(pid: Pid, read: () => T): T | undefined {
  try {
    return ifAlive(read);
  } catch (error) {
    if (isErrno(error, 'EACCES') && !existsSync(`/proc/${pid}`)) return undefined;
    throw error;
  }
}

const text = (pid: Pid, file: string): string | undefined =>
  ifAlive(() => readFileSync(`/proc/${pid}/${file}`, 'utf8'));

/** Every process that this /proc shows, in the order of their ids. A pid namespace has a /proc of its own. */
export function listPids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}

/** One line of numbers: what ps(1) reads. Source: proc_pid_stat(5). */
export interface ProcStat {
  pid: number;
  /** The program's name, at most 15 bytes; any byte but 0 may be in it. */
  comm: string;
  /** R running, S sleeping, D waiting for a device, T stopped, t traced, Z zombie, I idle kernel thread, X dead. */
  state: string;
  ppid: number;
  /** Process group. */
  pgrp: number;
  session: number;
  /** Device number of the controlling terminal; 0 is none. */
  ttyNr: number;
  /** The terminal's foreground process group; -1 is none. */
  tpgid: number;
  /** Clock ticks (100 a second) spent in the program's own code. */
  utime: number;
  /** Clock ticks spent in the kernel on its behalf. */
  stime: number;
  nice: number;
  threads: number;
  /** Clock ticks after boot. With the pid it names one process for ever, because pids are used again. */
  startTime: number;
  /** bytes of address space */
  vsize: number;
  /** pages in memory */
  rss: number;
}

/** Reads /proc/PID/stat; `undefined` when the process is gone. */
export function readStat(pid: Pid): ProcStat | undefined {
  const line = text(pid, 'stat');
  return line ? parseStat(line) : undefined;
}

/** Whether a process runs, or may again. A zombie does not: it has ended, and whoever has it as child has yet to take its status. */
export function isRunning(pid: Pid): boolean {
  const state = readStat(pid)?.state;
  return state !== undefined && state !== 'Z' && state !== 'X';
}

/**
 * Takes a line of /proc/PID/stat apart. The name stands in brackets and may itself hold spaces and brackets, as in
 * `7 (a) S (b) R 1 …`: it ends at the *last* closing bracket of the line.
 */
export function parseStat(line: string): ProcStat {
  //#gap 01.1 parseStat
  const open = line.indexOf('(');
  const close = line.lastIndexOf(')');
  // The manual counts fields from 1; what follows the name begins with field 3.
  const after = line.slice(close + 2).split(' ');
  const field = (number: number): number => Number(after[number - 3]);
  return {
    pid: Number(line.slice(0, open)),
    comm: line.slice(open + 1, close),
    state: after[0]!,
    ppid: field(4),
    pgrp: field(5),
    session: field(6),
    ttyNr: field(7),
    tpgid: field(8),
    utime: field(14),
    stime: field(15),
    nice: field(19),
    threads: field(20),
    startTime: field(22),
    vsize: field(23),
    rss: field(24),
  };
  //#end
}

/** One thread of a process: for the kernel a task like a process, in the same thread group. */
export interface Thread {
  tid: number;
  /** A thread may have a name of its own. */
  comm: string;
  state: string;
}

/** The threads of a process, the one that gave it its number first. Source: proc_pid_task(5). */
export function readThreads(pid: Pid): Thread[] | undefined {
  return ifAlive(() =>
    readdirSync(`/proc/${pid}/task`).flatMap((tid) => {
      const stat = ifAlive(() => parseStat(readFileSync(`/proc/${pid}/task/${tid}/stat`, 'utf8')));
      return stat ? [{ tid: stat.pid, comm: stat.comm, state: stat.state }] : [];
    }),
  );
}

/** The arguments that the process was started with; empty for kernel threads and zombies. proc_pid_cmdline(5). */
export const readCmdline = (pid: Pid): string[] | undefined => splitNul(text(pid, 'cmdline'));

/** The environment as it was at execve(2), as `NAME=value`. Only the same user and root may read it. proc_pid_environ(5). */
export const readEnviron = (pid: Pid): string[] | undefined => splitNul(text(pid, 'environ'));

function splitNul(all: string | undefined): string[] | undefined {
  // The last string ends with a NUL too, unless the program has written over its arguments (setproctitle).
  return all === undefined ? undefined : all === '' ? [] : all.replace(/\0$/, '').split('\0');
}

/** One hierarchy of cgroups, and where in it the process is. */
export interface CgroupMembership {
  /** 0 for v2; for v1 the number in /proc/cgroups */
  hierarchy: number;
  /** v1: controllers, or `name=systemd`. v2: empty. */
  controllers: string[];
  /** From the root of the reader's cgroup namespace; ends in ` (deleted)` when the cgroup was removed under a zombie. */
  path: string;
}

/** Reads /proc/PID/cgroup. Source: cgroups(7). */
export function readCgroups(pid: Pid): CgroupMembership[] | undefined {
  return text(pid, 'cgroup')
    ?.split('\n')
    .filter(Boolean)
    .map((line) => {
      const [, hierarchy, controllers, path] = /^(\d+):([^:]*):(.*)$/.exec(line)!;
      return {
        hierarchy: Number(hierarchy),
        controllers: controllers!.split(',').filter(Boolean),
        path: path!,
      };
    });
}

/**
 * The namespaces that a process is in, by the name of their link in /proc/PID/ns: `{ mnt: 'mnt:[4026531841]', … }`.
 * Two processes are in the same namespace exactly when the text is the same. Source: namespaces(7).
 */
export function namespacesOf(pid: Pid): Record<string, string> | undefined {
  return ifAliveLink(pid, () => {
    const folder = `/proc/${pid}/ns`;
    const links: Record<string, string> = {};
    for (const name of readdirSync(folder)) {
      // `pid_for_children` leads nowhere between unshare(CLONE_NEWPID) and the first fork.
      const link = ifAliveLink(pid, () => readlinkSync(`${folder}/${name}`));
      if (link !== undefined) links[name] = link;
    }
    return links;
  });
}

/** One resource limit; Infinity is "unlimited". */
export interface Limit {
  soft: number;
  hard: number;
  /** `bytes`, `seconds`, `processes` …; empty for plain numbers */
  unit: string;
}

/** Resource limits by the kernel's words: `limits['open files']`. Source: proc_pid_limits(5), getrlimit(2). */
export function readLimits(pid: Pid): Record<string, Limit> | undefined {
  const lines = text(pid, 'limits')?.split('\n').slice(1).filter(Boolean);
  const value = (word: string): number => (word === 'unlimited' ? Infinity : Number(word));
  return (
    lines &&
    Object.fromEntries(
      lines.map((line) => {
        const [, name, soft, hard, unit] = /^Max (.+?) {2,}(\S+) +(\S+) *(\S*)/.exec(line)!;
        return [name!, { soft: value(soft!), hard: value(hard!), unit: unit! }];
      }),
    )
  );
}

/**
 * How much memory a process has, in bytes, by the kernel's words: `Rss` counts every page, `Pss` each shared page by its share,
 * `Private_Dirty` what would be free again if it ended. Kernel threads and zombies have no memory to tell about: for them the kernel
 * says ESRCH, and this `undefined`, as for a process that is gone. proc_pid_smaps(5).
 */
export function readSmapsRollup(pid: Pid): Record<string, number> | undefined {
  const lines = text(pid, 'smaps_rollup')?.matchAll(/^(\w+): +(\d+) kB$/gm);
  return lines && Object.fromEntries([...lines].map(([, key, kB]) => [key!, Number(kB) * 1024]));
}
