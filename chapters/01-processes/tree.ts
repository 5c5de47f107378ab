import { listPids, readCmdline, readStat, readThreads, type ProcStat, type Thread } from './proc.ts';
import { readStatus } from './status.ts';

/** A process, and those that it is the parent of. */
export interface ProcessNode extends ProcStat {
  /** Its arguments; empty for kernel threads and zombies. */
  cmdline: string[];
  /** The effective user. */
  uid: number;
  /** It has pages that may not be swapped out. */
  locked: boolean;
  /** Its threads, but for the one that has its number. */
  otherThreads: Thread[];
  /** In the order in which they were started. */
  children: ProcessNode[];
}

/**
 * Every process that this /proc shows, as trees: under their parents. There are several roots: PID 1, the kernel's thread 2, and in a pid
 * namespace whoever was put into it from outside, whose parent reads as 0. It is no photograph: processes come and go while it is taken, and an orphan
 * whose parent has just ended stands at the top.
 */
export function processTree(): ProcessNode[] {
  return linkTree(listPids().flatMap((pid) => readNode(pid) ?? []));
}

/** One process for a tree; `undefined` if it ends before all is read: half a process would be a wrong one. */
function readNode(pid: number): ProcessNode | undefined {
  const [stat, status] = [readStat(pid), readStatus(pid)];
  const [cmdline, threads] = [readCmdline(pid), readThreads(pid)];
  if (!stat || !status || !cmdline || !threads) return undefined;
  return {
    ...stat,
    cmdline,
    uid: status.uid.effective,
    locked: parseInt(status.lines['VmLck'] ?? '0') > 0,
    otherThreads: threads.filter(({ tid }) => tid !== pid),
    children: [],
  };
}

/** Hangs each node under its parent, and returns those that have none among them. */
export function linkTree<N extends { pid: number; ppid: number; startTime: number; children: N[] }>(
  nodes: readonly N[],
): N[] {
  //#region linkTree
  const byPid = new Map(nodes.map((node) => [node.pid, node]));
  const roots: N[] = [];
  // By start, not by number: after the highest number the kernel begins again with a low one.
  for (const node of [...nodes].sort((a, b) => a.startTime - b.startTime || a.pid - b.pid)) {
    const parent = byPid.get(node.ppid);
    if (parent && parent !== node) parent.children.push(node);
    else roots.push(node);
  }
  //#endregion
  return roots;
}

/** The part of a forest that begins with this process; `undefined` when it is not there. */
export function subtree(roots: readonly ProcessNode[], pid: number): ProcessNode | undefined {
  for (const root of roots) {
    const found = root.pid === pid ? root : subtree(root.children, pid);
    if (found) return found;
  }
  return undefined;
}
