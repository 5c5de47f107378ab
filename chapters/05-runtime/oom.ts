import { readFileSync, writeFileSync } from 'node:fs';
import { isErrno } from '../01-processes/index.ts';

/**
 * Sets how willingly the kernel kills a process when memory ends. Source: proc_pid_oom_score_adj(5).
 * @throws Error when it would have to be lowered, and this process may not
 */
export function writeOomScoreAdj(pid: number, value: number | undefined): void {
  if (value === undefined) return;
  const path = `/proc/${pid}/oom_score_adj`;
  try {
    writeFileSync(path, String(value));
  } catch (cause) {
    if (!isErrno(cause, 'EACCES', 'EPERM')) throw cause;
    const now = readFileSync(path, 'utf8').trim();
    throw new Error(
      `process.oomScoreAdj: lowering it from ${now} to ${value} needs CAP_SYS_RESOURCE, which this process lacks`,
      { cause },
    );
  }
}
