import { constants } from 'node:os';
import { lastErrno, strerror } from './syscalls.ts';

const numbers = new Map<string, number>(Object.entries(constants.errno));
// Two numbers have two names each: the first one counts (EAGAIN, not EWOULDBLOCK; ENOTSUP, not EOPNOTSUPP).
const names = new Map([...numbers].reverse().map(([name, code]) => [code, name]));

/** The name of an error number, as the man pages write it: `errnoName(1) === 'EPERM'`. Source: errno(3). */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `errno ${errno}`;
}

/**
 * A system call that the kernel refused. The message names the call, what it was given and the reason:
 * `mount "/proc" on "/x/proc": EPERM (Operation not permitted)`.
 */
export class SyscallError extends Error {
  override readonly name = 'SyscallError';
  /** The call's name, as in section 2 of the manual. */
  readonly syscall: string;
  /** The error number, positive. */
  readonly errno: number;
  /** The error's name: `EPERM`. */
  readonly code: string;
  /** What the call was given: a path, a process id, "SOURCE on TARGET"; empty where it takes nothing worth naming. */
  readonly path: string;

  constructor(syscall: string, errno: number, path = '') {
    const code = errnoName(errno);
    super(`${syscall}${path && ` ${path}`}: ${code} (${strerror(errno)})`);
    this.syscall = syscall;
    this.errno = errno;
    this.code = code;
    this.path = path;
  }
}

/**
 * Passes the result of a system call through, or throws what went wrong. It must be the first thing that looks at the
 * result: errno belongs to the last call made.
 * @param subject what the call was given, quoted by the caller where it is text: `"/proc" on "/x/proc"`
 * @throws SyscallError when the result is -1
 */
export function checked<T extends number | bigint>(syscall: string, result: T, subject = ''): T {
  if (result == -1) throw new SyscallError(syscall, lastErrno(), subject);
  return result;
}

/**
 * Whether `error` is a refusal with one of these names: `isErrno(error, 'ENOENT', 'ESRCH')`. Node's own errors count too, and so does
 * another name of the same number (EWOULDBLOCK for EAGAIN).
 */
export function isErrno(error: unknown, ...codes: string[]): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  const code = String(error.code);
  const number = numbers.get(code);
  return codes.some((name) => name === code || (number !== undefined && numbers.get(name) === number));
}
