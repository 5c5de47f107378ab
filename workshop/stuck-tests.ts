import { readdirSync, readFileSync } from 'node:fs';
import type { TestProject } from 'vitest/node';

/** A file of tests may take as long as so many of its tests may. */
const TESTS = 5;

/**
 * Vitest's limits are timers: they don't end a file that blocks its event loop, in an endless loop or in a system call. Such a file is ended from
 * here, so that the others run and the run fails. Each file has a process of its own, a child of this one.
 */
export function setup(project: TestProject): () => void {
  const limit = TESTS * project.config.testTimeout;
  const since = new Map<number, number>();
  const timer = setInterval(() => {
    const now = performance.now();
    noteSeen(since, workers(), now);
    for (const [pid, first] of since) {
      if (now - first < limit) continue;
      console.error(`ended a file of tests that has run for ${limit / 1000} s: process ${pid}`);
      process.kill(pid, 'SIGKILL');
    }
  }, 1000);
  timer.unref();
  return () => clearInterval(timer);
}

/** Notes when each of these was first there, and forgets those that are not there any more: their numbers will be others'. */
export function noteSeen(since: Map<number, number>, pids: readonly number[], now: number): void {
  for (const pid of since.keys()) if (!pids.includes(pid)) since.delete(pid);
  for (const pid of pids) if (!since.has(pid)) since.set(pid, now);
}

/** The children of this process that run vitest. Read without chapter 1, whose readers are a learner's to write. */
const workers = (): number[] =>
  readdirSync('/proc/self/task')
    .flatMap((task) => read(`/proc/self/task/${task}/children`).split(' ').filter(Boolean).map(Number))
    .filter((pid) => read(`/proc/${pid}/cmdline`).includes('vitest'));

/** A file of /proc, empty when what it tells of is gone. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
