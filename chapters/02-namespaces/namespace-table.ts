import { statSync, readFileSync } from 'node:fs';
import { ifAlive, readCmdline, readMountinfo, readStat, readStatus } from '../01-processes/index.ts';
import { owningUserNamespace, parentNamespace } from './ioctl-ns.ts';
import {
  listNamespaces,
  namespaceId,
  namespacePath,
  NAMESPACES,
  type NamespaceEntry,
  type NamespaceKind,
} from './namespaces.ts';

/** A namespace as lsns(8) lists it, its columns by their names. `undefined`: nothing to say, such as the process of a pinned one. */
export interface NamespaceRow {
  /** The inode number: what stands in brackets in `uts:[4026531838]`. */
  NS: number;
  TYPE: NamespaceKind;
  /** A path by which it can be joined. */
  PATH: string;
  /** Processes in it; 0 for one that is only pinned. */
  NPROCS: number;
  /** Of them the one with the lowest id: often the namespace's init. */
  PID: number | undefined;
  PPID: number | undefined;
  COMMAND: string | undefined;
  UID: number | undefined;
  USER: string | undefined;
  /** Where it is pinned: bind mounts of its file, with commas between. */
  NSFS: string | undefined;
  /** The parent, for pid and user namespaces; 0 where it has none or is out of sight. */
  PNS: number;
  /** The user namespace that owns it; 0 where that is out of sight. */
  ONS: number;
}

/**
 * Every namespace that can be found, by its number: those that a process of this /proc is in, and those that are pinned in this mount
 * namespace, with nobody in them. One that only a descriptor holds is found by nobody.
 */
export function namespaceTable(): NamespaceRow[] {
  const pins = pinnedNamespaces();
  const rows = listNamespaces().flatMap((entry) => ifAlive(() => rowOf(entry, pins)) ?? []);
  const found = new Set(rows.map(({ NS }) => NS));
  const empty = [...pins].filter(([id]) => !found.has(inodeOf(id))).map(([id, paths]) => emptyRow(id, paths));
  return [...rows, ...empty].sort((a, b) => a.NS - b.NS);
}

/** The number in `uts:[4026531838]`. */
export const inodeOf = (id: string): number => Number(/\[(\d+)\]$/.exec(id)?.[1]);

/** Who is in a namespace, given by its number: the rows of `lsns NUMBER`. */
export function processesIn(inode: number): Pick<NamespaceRow, 'PID' | 'PPID' | 'USER' | 'COMMAND'>[] {
  const entry = listNamespaces().find(({ id }) => inodeOf(id) === inode);
  return (entry?.pids ?? []).flatMap((pid) => ifAlive(() => describe(pid)) ?? []);
}

function rowOf({ kind, id, pids }: NamespaceEntry, pins: Map<string, string[]>): NamespaceRow | undefined {
  const pid = pids[0]!;
  const path = namespacePath(pid, kind);
  const who = describe(pid);
  // The lowest may have ended since, and its number may be another's: ask for its namespace again.
  if (!who || namespaceId(pid, kind) !== id) return undefined;
  return {
    ...who,
    ...relatives(kind, path),
    ...names(kind, id, path),
    NPROCS: pids.length,
    ...nsfs(pins.get(id)),
  };
}

function emptyRow(id: string, paths: string[]): NamespaceRow {
  const [kind, path] = [id.slice(0, id.indexOf(':')) as NamespaceKind, paths[0]!];
  const nobody = { PID: undefined, PPID: undefined, COMMAND: undefined, UID: undefined, USER: undefined };
  return { ...nobody, ...relatives(kind, path), ...names(kind, id, path), NPROCS: 0, ...nsfs(paths) };
}

const names = (
  kind: NamespaceKind,
  id: string,
  path: string,
): Pick<NamespaceRow, 'NS' | 'TYPE' | 'PATH'> => ({
  NS: inodeOf(id),
  TYPE: kind,
  PATH: path,
});

const nsfs = (paths: string[] | undefined): Pick<NamespaceRow, 'NSFS'> => ({ NSFS: paths?.join(',') });

function relatives(kind: NamespaceKind, path: string): Pick<NamespaceRow, 'PNS' | 'ONS'> {
  const hasParent = kind === 'pid' || kind === 'user';
  return { PNS: (hasParent && parentNamespace(path)) || 0, ONS: owningUserNamespace(path) ?? 0 };
}

function describe(pid: number): Pick<NamespaceRow, 'PID' | 'PPID' | 'COMMAND' | 'UID' | 'USER'> | undefined {
  const [stat, status, cmdline] = [readStat(pid), readStatus(pid), readCmdline(pid)];
  if (!stat || !status || !cmdline) return undefined;
  const UID = status.uid.effective;
  return { PID: pid, PPID: stat.ppid, COMMAND: cmdline.join(' ') || stat.comm, UID, USER: userName(UID) };
}

/** The name that /etc/passwd gives to an id, or the id. */
export function userName(uid: number): string {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.split(':')[2] === String(uid));
  return line?.split(':')[0] ?? String(uid);
}

/** Namespaces by their pins: a bind mount of a namespace's file has its name as its root. A hidden one says another number. */
function pinnedNamespaces(): Map<string, string[]> {
  const pins = new Map<string, string[]>();
  for (const { type, root, mountPoint } of readMountinfo('self') ?? []) {
    const kind = /^(\w+):\[\d+\]$/.exec(root)?.[1];
    if (type !== 'nsfs' || !kind || !Object.hasOwn(NAMESPACES, kind)) continue;
    if (ifAlive(() => statSync(mountPoint).ino) !== inodeOf(root)) continue;
    pins.set(root, [...(pins.get(root) ?? []), mountPoint]);
  }
  return pins;
}
