import { readFileSync, writeFileSync } from 'node:fs';
import { isErrno } from '../01-processes/index.ts';

/**
 * Sets how willingly the kernel kills this process, and those that it forks, when memory ends. Source: proc_pid_oom_score_adj(5).
 * @throws Error when it would have to be lowered, and this process may not
 */
export function writeOomScoreAdj(value: number | undefined): void {
  if (value === undefined) return;
  const path = '/proc/self/oom_score_adj';
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
