import { checked } from './errors.ts';
import { c_prctl, c_setsid } from './syscalls.ts';

/** The operations of prctl(2) that containers use. */
export const PR = {
  SET_PDEATHSIG: 1,
  SET_DUMPABLE: 4,
  SET_KEEPCAPS: 8,
  CAPBSET_READ: 23,
  CAPBSET_DROP: 24,
  SET_CHILD_SUBREAPER: 36,
  SET_NO_NEW_PRIVS: 38,
  GET_NO_NEW_PRIVS: 39,
  CAP_AMBIENT: 47,
} as const;

/** Asks or sets one property of the calling thread. prctl(2). */
export function prctl(op: number, a = 0, b = 0, c = 0, d = 0): number {
  const name = Object.entries(PR).find(([, value]) => value === op)?.[0];
  return checked('prctl', c_prctl(op, a, b, c, d), name ? `PR_${name}` : String(op));
}

/** Orphans among the descendants become children of this process, and not of PID 1. PR_SET_CHILD_SUBREAPER(2const). */
export const setSubreaper = (on = true): void => void prctl(PR.SET_CHILD_SUBREAPER, on ? 1 : 0);

/** From here on no execve(2) gives more rights than the process has: setuid bits and file capabilities do nothing. */
export const setNoNewPrivs = (): void => void prctl(PR.SET_NO_NEW_PRIVS, 1);

/** The signal that this process gets when its parent (the thread that made it) ends. */
export const setParentDeathSignal = (signal: number): void => void prctl(PR.SET_PDEATHSIG, signal);

/**
 * Begins a session: this process leads it, and has no terminal until it opens one. Returns the session's id.
 * @throws SyscallError EPERM when it leads a process group already
 */
export const setsid = (): number => checked('setsid', c_setsid());
