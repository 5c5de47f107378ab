import { listPids, readCmdline, readStat, type ProcStat } from './proc.ts';
import { readStatus } from './status.ts';

/** A process, and those that it is the parent of. */
export interface ProcessNode extends ProcStat {
  /** Its arguments; empty for kernel threads and zombies. */
  cmdline: string[];
  /** The effective user. */
  uid: number;
  /** In the order of their ids. */
  children: ProcessNode[];
}

/**
 * Every process that this /proc shows, as trees: under their parents. There are several roots: PID 1, the kernel's thread 2, and in a pid
 * namespace whoever was put into it from outside, whose parent reads as 0. It is no photograph: processes come and go while it is taken, and an orphan
 * whose parent has just ended stands at the top.
 */
export function processTree(): ProcessNode[] {
  const nodes = listPids().flatMap((pid): ProcessNode[] => {
    const stat = readStat(pid);
    const uid = readStatus(pid)?.uid.effective;
    const cmdline = readCmdline(pid);
    return stat && cmdline && uid !== undefined ? [{ ...stat, cmdline, uid, children: [] }] : [];
  });
  return linkTree(nodes);
}

/** Hangs each node under its parent, and returns those that have none among them. */
export function linkTree<N extends { pid: number; ppid: number; children: N[] }>(nodes: readonly N[]): N[] {
  //#region linkTree
  const byPid = new Map(nodes.map((node) => [node.pid, node]));
  const roots: N[] = [];
  for (const node of nodes) {
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

/** What a process is called in a list: its arguments, or its name in brackets if it has none. ps(1) does the same. */
export const describeProcess = ({ cmdline, comm }: Pick<ProcessNode, 'cmdline' | 'comm'>): string =>
  cmdline.length > 0 ? cmdline.join(' ').replaceAll('\n', '?') : `[${comm}]`;

/** The lines of `ps axjf`: ids in columns, and the tree drawn before the commands. */
export function formatPsTree(roots: readonly ProcessNode[]): string {
  const columns = (node: ProcessNode): (string | number)[] => [
    node.ppid,
    node.pid,
    node.pgrp,
    node.session,
    node.state,
    node.uid,
  ];
  const header = ['PPID', 'PID', 'PGID', 'SID', 'STAT', 'UID'];
  const lines: { cells: (string | number)[]; command: string }[] = [];
  const visit = (node: ProcessNode, lead: string, branch: string, last: boolean): void => {
    lines.push({ cells: columns(node), command: `${lead}${branch}${describeProcess(node)}` });
    const below = branch ? `${lead}${last ? '    ' : ' |  '}` : lead;
    node.children.forEach((child, i) => visit(child, below, ' \\_ ', i === node.children.length - 1));
  };
  for (const root of roots) visit(root, '', '', true);
  const widths = header.map((name, i) =>
    Math.max(name.length, ...lines.map(({ cells }) => String(cells[i]).length)),
  );
  const row = (cells: (string | number)[], command: string): string =>
    `${cells.map((cell, i) => String(cell).padStart(widths[i]!)).join(' ')} ${command}`;
  return [row(header, 'COMMAND'), ...lines.map(({ cells, command }) => row(cells, command))].join('\n');
}

/** The lines of `pstree -p`: names and ids, the first child on its parent's line. */
export function formatPstree(root: ProcessNode): string {
  const lines: string[] = [];
  const visit = (node: ProcessNode, onLine: string, below: string): void => {
    const name = `${onLine}${node.comm}(${node.pid})`;
    if (node.children.length === 0) lines.push(name);
    // What stands under a name is blank, as wide as the name.
    const indent = below + ' '.repeat(name.length - onLine.length);
    node.children.forEach((child, i) => {
      const only = node.children.length === 1;
      const last = i === node.children.length - 1;
      const lead = i === 0 ? `${name}${only ? '───' : '─┬─'}` : `${indent}${last ? ' └─' : ' ├─'}`;
      visit(child, lead, `${indent}${last ? '   ' : ' │ '}`);
    });
  };
  visit(root, '', '');
  return lines.join('\n');
}
