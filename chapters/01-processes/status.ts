import { readFileSync } from 'node:fs';
import { ifAlive, type Pid } from './proc.ts';

/** A process's user or group ids. The effective one decides; the file system one follows it. Source: credentials(7). */
export interface Ids {
  real: number;
  effective: number;
  saved: number;
  fs: number;
}

/** What /proc/PID/status says in words. Source: proc_pid_status(5). */
export interface ProcStatus {
  name: string;
  /** The state's letter, as in `readStat`. */
  state: string;
  /** Process id, as this /proc counts. */
  pid: number;
  ppid: number;
  /** The process that traces this one; 0 is none. */
  tracerPid: number;
  uid: Ids;
  gid: Ids;
  groups: number[];
  /** The process id in each pid namespace, from the reader's down to the process's own: `[4711, 1]` is PID 1 of a container. */
  nsPid: number[];
  threads: number;
  /** bytes in memory; 0 for kernel threads and zombies */
  rss: number;
  signals: { blocked: bigint; ignored: bigint; caught: bigint };
  /** The five capability sets as masks: bit n is capability n. */
  capabilities: {
    inheritable: bigint;
    permitted: bigint;
    effective: bigint;
    bounding: bigint;
    ambient: bigint;
  };
  noNewPrivs: boolean;
  /** 0 off, 1 strict, 2 a filter */
  seccomp: number;
  /** Every line, unparsed, by its key. */
  lines: Record<string, string>;
}

/** Reads /proc/PID/status; `undefined` when the process is gone. */
export function readStatus(pid: Pid): ProcStatus | undefined {
  const text = ifAlive(() => readFileSync(`/proc/${pid}/status`, 'utf8'));
  return text ? parseStatus(text) : undefined;
}

/** What the text of such a file says. */
export function parseStatus(text: string): ProcStatus {
  const lines = Object.fromEntries(
    text
      .trimEnd()
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
  );
  const numbers = (key: string): number[] => (lines[key] ?? '').split(/\s+/).filter(Boolean).map(Number);
  const number = (key: string): number => numbers(key)[0] ?? 0;
  const mask = (key: string): bigint => BigInt(`0x${lines[key] ?? '0'}`);
  const ids = (key: string): Ids => {
    const [real, effective, saved, fs] = numbers(key);
    return { real: real!, effective: effective!, saved: saved!, fs: fs! };
  };
  return {
    // The only file of the three where the kernel escapes the name: a newline is `\n`, a backslash `\\`.
    name: (lines['Name'] ?? '').replace(/\\(n|\\)/g, (_, c) => (c === 'n' ? '\n' : '\\')),
    state: (lines['State'] ?? '?')[0]!,
    pid: number('Pid'),
    ppid: number('PPid'),
    tracerPid: number('TracerPid'),
    uid: ids('Uid'),
    gid: ids('Gid'),
    groups: numbers('Groups'),
    nsPid: numbers('NSpid'),
    threads: number('Threads'),
    rss: number('VmRSS') * 1024,
    signals: { blocked: mask('SigBlk'), ignored: mask('SigIgn'), caught: mask('SigCgt') },
    capabilities: {
      inheritable: mask('CapInh'),
      permitted: mask('CapPrm'),
      effective: mask('CapEff'),
      bounding: mask('CapBnd'),
      ambient: mask('CapAmb'),
    },
    noNewPrivs: number('NoNewPrivs') === 1,
    seccomp: number('Seccomp'),
    lines,
  };
}
