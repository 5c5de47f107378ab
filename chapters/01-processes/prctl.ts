import { checked } from './errors.ts';
import { c_prctl, c_setsid } from './syscalls.ts';

/** The operations of prctl(2) that containers use. */
export const PR = {
  SET_PDEATHSIG: 1,
  SET_DUMPABLE: 4,
  SET_KEEPCAPS: 8,
  CAPBSET_READ: 23,
  CAPBSET_DROP: 24,
  GET_SECUREBITS: 27,
  SET_SECUREBITS: 28,
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

/**
 * What is special about user 0 can be switched off: with NOROOT executing a program gives it nothing, with NO_SETUID_FIXUP becoming
 * another user takes nothing away; KEEP_CAPS keeps permitted ones over that change until the next execve. The bit beside each (`* 2`) locks it.
 * Source: "The securebits flags" in capabilities(7).
 */
export const SECBIT = {
  NOROOT: 1,
  NOROOT_LOCKED: 2,
  NO_SETUID_FIXUP: 4,
  NO_SETUID_FIXUP_LOCKED: 8,
  KEEP_CAPS: 16,
  KEEP_CAPS_LOCKED: 32,
  NO_CAP_AMBIENT_RAISE: 64,
  NO_CAP_AMBIENT_RAISE_LOCKED: 128,
} as const;

/** The calling thread's securebits. */
export const getSecurebits = (): number => prctl(PR.GET_SECUREBITS);

/** Sets all of them. Needs CAP_SETPCAP. @throws SyscallError EPERM also for changing a locked one */
export const setSecurebits = (bits: number): void => void prctl(PR.SET_SECUREBITS, bits);

/** The signal that this process gets when its parent (the thread that made it) ends. */
export const setParentDeathSignal = (signal: number): void => void prctl(PR.SET_PDEATHSIG, signal);

/**
 * Begins a session: this process leads it, and has no terminal until it opens one. Returns the session's id.
 * @throws SyscallError EPERM when it leads a process group already
 */
export const setsid = (): number => checked('setsid', c_setsid());
