import { readdirSync, readFileSync } from 'node:fs';
import { isErrno, waitpid, WNOHANG, exitCode } from '../01-processes/index.ts';

/** How and when a process ended. */
export interface Exit {
  /** 0 to 255; 128 + n after signal n */
  status: number;
  at: Date;
}

export interface Reaper {
  /**
   * Runs `make`, which makes a process that this process will be parent to (by way of a runtime that exits) and returns its id.
   * Its end is not missed, even when it comes before `make` has returned.
   */
  adopt(make: () => Promise<number>): Promise<{ pid: number; exited: Promise<Exit> }>;
  /** Tells that a child is someone else's to wait for (Node's own), or no longer. */
  leave(pid: number): void;
  unleave(pid: number): void;
  close(): void;
}

/**
 * Waits for the children of a subreaper: those it knows by id, and orphans that came to it from anywhere below, which no one else
 * will ever wait for. An orphan left as a zombie does harm: the first process of its pid namespace cannot end before it.
 *
 * Node waits for children that it started itself (`leave` those). That is why nobody here calls waitpid(-1), which would take
 * whichever child comes first.
 * Source: wait(2), pid_namespaces(7).
 */
export function startReaper(): Reaper {
  const nodes = new Set<number>();
  const waiting = new Map<number, (exit: Exit) => void>();
  /** Ends of children whose id nobody has asked for yet; kept while one is being made. */
  const early = new Map<number, Exit>();
  let beingMade = 0;

  const reap = (): void => {
    //#gap 06.1 reap
    for (const pid of children()) {
      if (nodes.has(pid)) continue;
      const status = waitIfEnded(pid);
      if (!status) continue;
      const exit = { status: exitCode(status), at: new Date() };
      const tell = waiting.get(pid);
      waiting.delete(pid);
      if (tell) tell(exit);
      else if (beingMade > 0) early.set(pid, exit);
    }
    //#end
  };

  // The handler alone does not keep the event loop alive, and SIGCHLDs that come together arrive as one: so look at all children.
  process.on('SIGCHLD', reap);

  return {
    adopt: async (make) => {
      beingMade++;
      try {
        const pid = await make();
        const exit = early.get(pid);
        if (exit) return { pid, exited: Promise.resolve(exit) };
        const exited = new Promise<Exit>((resolve) => waiting.set(pid, resolve));
        setImmediate(reap);
        return { pid, exited };
      } finally {
        if (--beingMade === 0) early.clear();
      }
    },
    leave: (pid) => void nodes.add(pid),
    unleave: (pid) => void nodes.delete(pid),
    close: () => process.off('SIGCHLD', reap),
  };
}

function waitIfEnded(pid: number): ReturnType<typeof waitpid> | undefined {
  try {
    return waitpid(pid, WNOHANG);
  } catch (error) {
    if (isErrno(error, 'ECHILD')) return undefined;
    throw error;
  }
}

/** The ids of this process's children, zombies too. Source: proc_pid_task(5), `children` (a kernel option; else by looking at all). */
function children(): number[] {
  try {
    const list = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8');
    return list.split(' ').filter(Boolean).map(Number);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => parentOf(pid) === process.pid);
}

function parentOf(pid: number): number | undefined {
  try {
    // After the name, which is in parentheses and may hold anything: state, parent.
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[1]);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return undefined;
    throw error;
  }
}
