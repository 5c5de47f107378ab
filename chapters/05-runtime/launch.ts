import { closeSync, openSync, writeSync } from 'node:fs';
import {
  checked,
  exitCode,
  fork,
  isErrno,
  kill,
  PR,
  prctl,
  setSubreaper,
  SIGNALS,
  waitpid,
} from '../01-processes/index.ts';
import {
  CLONE,
  NAMESPACES,
  setns,
  unshare,
  writeIdMaps,
  writeIdMapsWithHelpers,
  writeTimeOffsets,
  type IdMaps,
  type NamespaceKind,
  type TimeOffsets,
} from '../02-namespaces/index.ts';
import { forkInto, type Cgroup } from '../03-cgroups/index.ts';
import { channelPair, type Channel } from './channel.ts';
import { writeOomScoreAdj } from './oom.ts';
import { c_setresgid, c_setresuid } from './syscalls.ts';

/** Which namespaces a process is to be in. Kinds that neither list names are shared with the caller. */
export interface NamespacePlan {
  /** Kinds to make new. */
  make: ReadonlySet<NamespaceKind>;
  /** Kinds to join, by the path that stands for the namespace. */
  join: Partial<Record<NamespaceKind, string>>;
  /** Maps of a new user namespace. */
  idMaps?: IdMaps;
  /** Clocks of a new time namespace. */
  timeOffsets?: TimeOffsets;
  /** The cgroup to be born in. Without one, `born` is the time for it. */
  cgroup?: Cgroup | undefined;
  /** process.oomScoreAdj: told to the kernel as long as the process may write to its own files in /proc. */
  oomScoreAdj?: number | undefined;
}

/** What happens on the way, on the runtime's side. Each may throw: then the process is ended. */
export interface LaunchEvents {
  /** The process that stays exists, and waits. */
  born(pid: number): void;
  /** All is mounted (create only). */
  mounted?(): void;
  /** The process has a filter that asks a supervisor: `fd` there is to be handed on. */
  seccomp?(pid: number, fd: number): void;
  /** What the process is doing. */
  debug?(message: string): void;
  /** All is done but for the program itself; it waits. */
  ready(): void;
}

/**
 * Starts a process in namespaces, by two forks. The first child joins and makes namespaces; a process itself never enters a new pid
 * namespace, only its children do, so it forks once more and ends. What stays, `inside`, becomes a child of the nearest subreaper: of this
 * runtime, and when that ends, of the shim above it.
 *
 * `inside` talks through its channel and does not return. Whatever goes wrong on either side is thrown here, and the process is gone.
 * Returns its pid.
 * @throws Error
 */
export function launch(
  plan: NamespacePlan,
  inside: (channel: Channel) => never,
  events: LaunchEvents,
): number {
  setSubreaper();
  const namespaces = openNamespaces(plan.join);
  const { runtime, container } = channelPair();
  let pid = 0;
  try {
    const child = (enterCgroup: () => void): number => {
      runtime.close();
      return reporting(container, () => {
        enterCgroup();
        enterNamespaces(plan, namespaces, container, inside);
      });
    };
    const first = plan.cgroup ? forkInto(plan.cgroup, child) : fork(() => child(() => undefined));
    container.close();
    try {
      for (let ready = false; !ready;) {
        const report = runtime.receive();
        switch (report?.type) {
          case undefined:
            throw new Error(
              `the container's process ended without a word${pid ? '' : ` (${howItEnded(first)})`}`,
            );
          case 'error':
            throw new Error(report.message);
          case 'map-ids':
            mapIds(first, plan.idMaps!);
            runtime.go();
            break;
          case 'set-clocks':
            writeTimeOffsets(first, plan.timeOffsets!);
            runtime.go();
            break;
          case 'seccomp':
            events.seccomp?.(pid, report.fd);
            runtime.go();
            break;
          case 'debug':
            events.debug?.(report.message);
            break;
          case 'pid':
            pid = report.pid;
            events.born(pid);
            runtime.go();
            break;
          case 'mounted':
            events.mounted?.();
            runtime.go();
            break;
          case 'ready':
            events.ready();
            runtime.go();
            ready = true;
        }
      }
      // Until the program itself runs or waits, what goes wrong is still told here; then the channel closes.
      for (let last = runtime.receive(); last; last = runtime.receive())
        if (last.type === 'error') throw new Error(last.message);
        else if (last.type === 'debug') events.debug?.(last.message);
    } finally {
      runtime.close();
      reap(first);
    }
    return pid;
  } catch (error) {
    if (pid) end(pid);
    throw error;
  } finally {
    container.close();
    for (const fd of namespaces.values()) closeSync(fd);
  }
}

/** Opens all of them before the first is joined: afterwards their paths may lead elsewhere. */
function openNamespaces(paths: NamespacePlan['join']): Map<NamespaceKind, number> {
  const fds = new Map<NamespaceKind, number>();
  // The order of NAMESPACES is the order of joining: user first, mnt last.
  for (const kind of Object.keys(NAMESPACES) as NamespaceKind[]) {
    const path = paths[kind];
    if (path === undefined) continue;
    try {
      fds.set(kind, openSync(path, 'r'));
    } catch (cause) {
      for (const fd of fds.values()) closeSync(fd);
      throw new Error(`cannot join the ${kind} namespace ${path}`, { cause });
    }
  }
  return fds;
}

/**
 * Writes the maps of a new user namespace: by itself, as root, or for a person's own id alone, who must give up changing groups; else newuidmap(1) and
 * newgidmap(1) do it, which look into /etc/subuid whether the ids are lent.
 */
function mapIds(pid: number, maps: IdMaps): void {
  if (process.geteuid!() === 0) return writeIdMaps(pid, maps);
  const isOwn = (ranges: IdMaps['uid'], id: number): boolean =>
    ranges.length === 1 && ranges[0]!.hostID === id && ranges[0]!.size === 1;
  if (isOwn(maps.uid, process.geteuid!()) && isOwn(maps.gid, process.getegid!()))
    writeIdMaps(pid, { ...maps, setgroups: 'deny' });
  else writeIdMapsWithHelpers(pid, maps);
}

/** The first child's work. */
function enterNamespaces(
  plan: NamespacePlan,
  namespaces: Map<NamespaceKind, number>,
  channel: Channel,
  inside: (channel: Channel) => never,
): void {
  writeOomScoreAdj(plan.oomScoreAdj);
  // From here on nobody else may look into this process: it is still the runtime, with the host's files open. A person without root may not write
  // the maps of such a process either: there it is so from `becomeRoot` on, and nobody else is in the namespace before.
  if (process.geteuid!() === 0 || !plan.make.has('user')) prctl(PR.SET_DUMPABLE, 0);
  channel.send({ type: 'debug', message: '=> nsexec container setup' });
  //#gap 05.1 enterNamespaces
  for (const [kind, fd] of namespaces) {
    if (kind === 'mnt') unshare(CLONE.FS); // setns refuses while root and working directory are shared between threads
    setns(fd, NAMESPACES[kind].flag);
  }
  if (plan.make.has('user')) {
    unshare(CLONE.NEWUSER);
    channel.send({ type: 'map-ids' }); // only a process outside may write the maps
    channel.awaitGo();
  }
  if (plan.make.has('user') || namespaces.has('user')) becomeRoot();
  // cgroup comes later: before it is made, the container's place in the host's tree is read.
  const others = [...plan.make].filter((kind) => kind !== 'user' && kind !== 'cgroup');
  unshare(others.reduce((flags, kind) => flags | NAMESPACES[kind].flag, 0));
  setClocks(plan, channel);
  // In the second child all of them hold, the pid namespace too.
  const pid = fork(() => reporting(channel, () => inside(channel)));
  channel.send({ type: 'pid', pid });
  //#end
}

/** The clocks of a time namespace stand still for ever once a process is in it: they are set before the second child is. */
function setClocks(plan: NamespacePlan, channel: Channel): void {
  if (!plan.timeOffsets) return;
  channel.send({ type: 'set-clocks' });
  channel.awaitGo();
}

/** In a new user namespace this process is nobody (65534) until it takes an id that the maps have. */
function becomeRoot(): void {
  checked('setresgid', c_setresgid(0, 0, 0), '0 in the user namespace');
  checked('setresuid', c_setresuid(0, 0, 0), '0 in the user namespace');
  prctl(PR.SET_DUMPABLE, 0);
}

/** Runs the child's work; an error goes to the runtime, and to the container's standard error only when the runtime has ended. */
function reporting(channel: Channel, work: () => void): number {
  try {
    work();
    return 0;
  } catch (error) {
    try {
      channel.send({ type: 'error', message: describe(error) });
    } catch (lost) {
      if (!isErrno(lost, 'EPIPE', 'EBADF')) throw lost;
      // The runtime has ended, its work done: what is left is the container's own standard error.
      writeSync(2, `${describe(error)}\n`);
    }
    return 1;
  }
}

/** An error and its causes, outermost first, in one line. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${describe(error.cause)}`;
}

function howItEnded(first: number): string {
  const status = waitpid(first);
  return status.kind === 'signaled' ? `signal ${status.signal}` : `status ${exitCode(status)}`;
}

function reap(pid: number): void {
  try {
    waitpid(pid);
  } catch (error) {
    if (!isErrno(error, 'ECHILD')) throw error;
  }
}

/** Ends a process of ours and waits until it is gone. It is our child, because this runtime is a subreaper. */
export function end(pid: number): void {
  try {
    kill(pid, SIGNALS['SIGKILL']!);
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error;
  }
  reap(pid);
}
