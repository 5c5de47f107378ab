import { readdirSync, readlinkSync, statSync } from 'node:fs';
import { ifAlive, ifAliveLink, type Pid } from './proc.ts';

/** What a process has open behind one descriptor. */
export interface OpenFile {
  fd: number;
  /** The link as the kernel writes it: a path, or `pipe:[inode]`, `socket:[inode]`, `anon_inode:[eventfd]`. */
  target: string;
  /** `path` for everything that has, or had, a name: files, folders, devices, named pipes and memfds. */
  kind: 'path' | 'pipe' | 'socket' | 'anon';
  /** The number by which both ends of a pipe are recognised, and a socket is found in /proc/net. */
  inode?: number;
  /** Only of a path: nobody can open it by that name any more. Its bytes stay until the last descriptor closes. */
  deleted?: boolean;
}

/** What a process has open: the links of /proc/PID/fd. Files that it closes meanwhile are left out. proc_pid_fd(5). */
export function readFds(pid: Pid): OpenFile[] | undefined {
  return ifAliveLink(pid, () =>
    readdirSync(`/proc/${pid}/fd`).flatMap((name): OpenFile[] => {
      const link = `/proc/${pid}/fd/${name}`;
      const target = ifAliveLink(pid, () => readlinkSync(link));
      return target === undefined ? [] : [{ fd: Number(name), ...describeLink(pid, link, target) }];
    }),
  );
}

function describeLink(pid: Pid, link: string, target: string): Omit<OpenFile, 'fd'> {
  //#region describeLink
  if (target.startsWith('/')) return { target, kind: 'path', deleted: isDeleted(pid, link, target) };
  const [, kind, inode] = /^(pipe|socket):\[(\d+)\]$/.exec(target) ?? [];
  return kind ? { target, kind: kind as 'pipe' | 'socket', inode: Number(inode) } : { target, kind: 'anon' };
  //#endregion
}

/**
 * Whether the file behind a magic link has lost its name. The kernel appends ` (deleted)` then; but a file may be called so, and
 * then its name leads to the very file that the link leads to.
 */
function isDeleted(pid: Pid, link: string, target: string): boolean {
  if (!target.endsWith(' (deleted)')) return false;
  const [behind, named] = [link, `${rootOf(pid)}${target}`].map((path) => ifAlive(() => statSync(path)));
  return !(behind && named && behind.ino === named.ino && behind.dev === named.dev);
}

/** The program that a process runs. */
export interface Executable {
  /** As the process's own mount namespace names it. */
  path: string;
  /** The file has been removed or replaced (as an upgrade does) since: the process still runs the old one. */
  deleted: boolean;
}

/**
 * The program of a process; `undefined` when there is none: kernel threads and zombies have no program, and neither has a process that
 * is gone. `/proc/PID/exe` itself is a magic link to the very file: it can be run and copied even when it is deleted.
 * proc_pid_exe(5).
 */
export function readExe(pid: Pid): Executable | undefined {
  const link = `/proc/${pid}/exe`;
  const target = ifAliveLink(pid, () => readlinkSync(link));
  if (target === undefined) return undefined;
  const deleted = isDeleted(pid, link, target);
  return { path: deleted ? target.slice(0, -' (deleted)'.length) : target, deleted };
}

/**
 * The path by which another process's files are reached: a magic link that leads into the mount namespace *and* below the root of
 * that process. `writeFileSync(rootOf(pid) + '/etc/motd', …)` writes into a running container. proc_pid_root(5).
 */
export const rootOf = (pid: Pid): string => `/proc/${pid}/root`;

/** Where the root and the working directory of a process are, as its own mount namespace names them. */
export function readRootAndCwd(pid: Pid): { root: string; cwd: string } | undefined {
  return ifAliveLink(pid, () => ({
    root: readlinkSync(`/proc/${pid}/root`),
    cwd: readlinkSync(`/proc/${pid}/cwd`),
  }));
}
