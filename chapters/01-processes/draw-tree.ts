import { readFileSync } from 'node:fs';
import type { ProcessNode } from './tree.ts';

/** What a process is called in a list: its arguments, or its name in brackets if it has none. ps(1) does the same. */
export function describeProcess({
  cmdline,
  comm,
  state,
}: Pick<ProcessNode, 'cmdline' | 'comm' | 'state'>): string {
  const words = state !== 'Z' && cmdline.length > 0 ? cmdline.join(' ').replaceAll('\n', ' ') : `[${comm}]`;
  return words.replace(UNPRINTABLE, '?') + (state === 'Z' ? ' <defunct>' : '');
}

const UNPRINTABLE = /[\x00-\x1f\x7f]/g;

/**
 * The lines of `ps axjf`: numbers in columns, and the tree drawn before the commands. As ps does it, what PID 1 has adopted stands at the
 * left, not under it, and of several trees the one that began last comes first.
 */
export function formatPsTree(roots: readonly ProcessNode[], pidWidth = widthOfPids()): string {
  const row = (cells: readonly (string | number)[], command: string): string => {
    const [ppid, pid, pgrp, session, tty, tpgid, stat, uid, time] = cells.map(String) as string[];
    const ids = [ppid, pid, pgrp, session].map((id) => id!.padStart(pidWidth)).join(' ');
    const rest = [tty!.padEnd(8), tpgid!.padStart(pidWidth), stat!.padEnd(4), uid!.padStart(5)].join(' ');
    return `${ids} ${rest} ${time!.padStart(6)} ${command}`;
  };
  const lines = [row(['PPID', 'PID', 'PGID', 'SID', 'TTY', 'TPGID', 'STAT', 'UID', 'TIME'], 'COMMAND')];
  const visit = (node: ProcessNode, lead: string, branch: string, last: boolean): void => {
    const { ppid, pid, pgrp, session, tpgid, uid } = node;
    const cells = [
      ppid,
      pid,
      pgrp,
      session,
      terminalName(node.ttyNr),
      tpgid,
      statOf(node),
      uid,
      timeOf(node),
    ];
    lines.push(row(cells, `${lead}${branch}${describeProcess(node)}`));
    const below = branch ? `${lead}${last ? '    ' : ' |  '}` : lead;
    node.children.forEach((child, i) =>
      visit(child, below, node.pid === 1 ? branch : ' \\_ ', i === node.children.length - 1),
    );
  };
  for (const root of [...roots].reverse()) visit(root, '', '', true);
  return lines.join('\n');
}

/** ps makes its columns as wide as the highest number that this pid namespace can give. */
const widthOfPids = (): number =>
  Math.max(5, String(Number(readFileSync('/proc/sys/kernel/pid_max', 'utf8')) - 1).length);

/** The state with what ps adds to it. PROCESS STATE CODES in ps(1). */
function statOf({ state, nice, locked, session, pid, threads, pgrp, tpgid }: ProcessNode): string {
  const priority = nice < 0 ? '<' : nice > 0 ? 'N' : '';
  const leader = session === pid ? 's' : '';
  const foreground = pgrp === tpgid ? '+' : '';
  return `${state}${priority}${locked ? 'L' : ''}${leader}${threads > 1 ? 'l' : ''}${foreground}`;
}

const TICKS_PER_SECOND = 100;

/** Processor time as minutes and seconds. */
function timeOf({ utime, stime }: ProcessNode): string {
  const seconds = Math.floor((utime + stime) / TICKS_PER_SECOND);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

/**
 * The name of a terminal's device number, as in stat's seventh field: `pts/3`, `tty1`, `ttyS0`; `?` is none.
 * Source: devices.txt in the kernel's documentation.
 */
export function terminalName(device: number): string {
  const major = (device >> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >> 12) & 0xfff00);
  if (major >= 136 && major <= 143) return `pts/${(major - 136) * 256 + minor}`;
  if (major === 4) return minor < 64 ? `tty${minor}` : `ttyS${minor - 64}`;
  if (major === 5 && minor === 1) return 'console';
  return '?';
}

/**
 * The lines of `pstree -p`: names and ids, the first child on its parent's line, threads in braces.
 * @param threads false leaves them out, as `pstree -pT`
 */
export function formatPstree(root: ProcessNode, { threads = true } = {}): string {
  const lines: string[] = [];
  const visit = (branch: Branch, onLine: string, below: string): void => {
    const name = `${onLine}${branch.name}`;
    if (branch.below.length === 0) lines.push(name);
    // What stands under a name is blank, as wide as the name.
    const indent = below + ' '.repeat(name.length - onLine.length);
    branch.below.forEach((child, i) => {
      const only = branch.below.length === 1;
      const last = i === branch.below.length - 1;
      const lead = i === 0 ? `${name}${only ? '───' : '─┬─'}` : `${indent}${last ? ' └─' : ' ├─'}`;
      visit(child, lead, `${indent}${last ? '   ' : ' │ '}`);
    });
  };
  visit(branchOf(root, threads), '', '');
  return lines.join('\n');
}

/** What pstree draws as one name: a process or a thread. */
interface Branch {
  name: string;
  below: Branch[];
}

/** A process with its children by name, as pstree sorts them; the braces of threads come after all letters. */
function branchOf(node: ProcessNode, threads: boolean): Branch {
  const own = node.otherThreads.map(({ tid, comm }) => ({
    comm: `{${comm}}`,
    pid: tid,
    uid: node.uid,
    node: undefined,
  }));
  const children = node.children.map((child) => ({
    comm: child.comm,
    pid: child.pid,
    uid: child.uid,
    node: child,
  }));
  const below = [...children, ...(threads ? own : [])].sort(
    (a, b) => compareBytes(a.comm, b.comm) || a.uid - b.uid || a.pid - b.pid,
  );
  return {
    name: `${escapeName(node.comm)}(${node.pid})`,
    below: below.map((one) =>
      one.node ? branchOf(one.node, threads) : { name: `${escapeName(one.comm)}(${one.pid})`, below: [] },
    ),
  };
}

const compareBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** What is no printable ASCII stands as octal numbers, byte by byte, and a backslash as two. */
const escapeName = (name: string): string =>
  name
    .replaceAll('\\', '\\\\')
    .replace(/[^ -~]/gu, (char) =>
      Array.from(Buffer.from(char), (byte) => `\\${byte.toString(8).padStart(3, '0')}`).join(''),
    );
