import { closeSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { checked, isErrno, SyscallError } from './errors.ts';
import { resetSignalsForExec } from './signals.ts';
import {
  c_dup2,
  c_execve,
  c_exit,
  c_fcntl,
  c_fork,
  c_getpid,
  c_gettid,
  c_madvise,
  c_pipe2,
  c_waitpid,
  lastErrno,
} from './syscalls.ts';

/** The whole user half of a 48-bit address space, but for its last page. */
const EVERY_ADDRESS = 2 ** 48 - 4096;
const MADV_DOFORK = 11;

/**
 * Makes a copy of this process, which runs `child` and ends with the status that it returns (0 if it returns nothing,
 * 1 if it throws, the error on standard error). Returns the child's process id to the caller.
 *
 * Only the calling thread exists in the child: `child` may use system calls and `fs.*Sync`, nothing that the event
 * loop finishes and nothing that is loaded late (no `import()`, no first use of `process.stdout`). It is single-threaded
 * for the kernel too, which is why namespaces are entered there.
 *
 * This process must have been started `node --single-threaded` (see `singleThreaded`): otherwise garbage collection in
 * the child waits for threads that fork left behind.
 * Source: fork(2), madvise(2).
 * @throws Error when this process is not single-threaded, or the caller is a worker; SyscallError EAGAIN at the limit of processes
 */
export function fork(child: () => number | void): number {
  if (!isSingleThreaded())
    throw new Error('fork: this process has helper threads: start it as `node --single-threaded`');
  if (c_gettid() !== c_getpid())
    throw new Error('fork: called in a worker thread, but only the main thread may be copied');
  //#gap 01.2 fork
  // V8 marks its heap "not for children". Without this the child has no heap and dies at once (SIGSEGV).
  // The answer is to be ignored: there are always holes in the range.
  c_madvise(0, EVERY_ADDRESS, MADV_DOFORK);
  const pid = checked('fork', c_fork());
  if (pid > 0) return pid;
  return c_exit(runChild(child));
  //#end
}

/** Whether V8 runs without helper threads, as fork needs it. */
export function isSingleThreaded(): boolean {
  return process.execArgv.includes('--single-threaded');
}

/**
 * Makes sure that this program runs single-threaded: where it does not, runs it again so, in a child that has its terminal,
 * and ends with its status. The first line of every program that forks.
 */
export async function singleThreaded(): Promise<void> {
  if (isSingleThreaded()) return;
  const { runInForeground } = await import('./foreground.ts');
  process.exit(await runInForeground(['--single-threaded', ...process.execArgv, ...process.argv.slice(1)]));
}

/**
 * Makes the memory of this process part of the next child's: V8 marks its heap "not for children". For those who make a child
 * by another call than `fork`.
 * Source: madvise(2).
 */
export function keepMemoryForChildren(): void {
  // The answer is to be ignored: there are always holes in the range.
  c_madvise(0, EVERY_ADDRESS, MADV_DOFORK);
}

/**
 * What a child does: returns the status to end with, that of `child`; 1 if it throws, the error on standard error. Also 1 for what is no
 * status: the kernel keeps 8 bits, and 256 would pass for success; and a promise would never be kept, there is no event loop.
 */
export function runChild(child: () => number | void): number {
  try {
    const status: unknown = child() ?? 0;
    if (status instanceof Promise)
      throw new TypeError('fork: the child must not be asynchronous: it has no event loop');
    if (typeof status !== 'number' || !Number.isInteger(status) || status < 0 || status > 255)
      throw new RangeError(`fork: ${String(status)} is no exit status: return a whole number from 0 to 255`);
    return status;
  } catch (error) {
    writeSync(2, `${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

/** How a process ended, or that it stopped or went on. */
export type WaitStatus =
  | { kind: 'exited'; code: number }
  | { kind: 'signaled'; signal: number; coreDumped: boolean }
  | { kind: 'stopped'; signal: number }
  | { kind: 'continued' };

export const WNOHANG = 1;
export const WUNTRACED = 2;
export const WCONTINUED = 8;

/**
 * Waits for one child, by its id, and takes its exit status: until someone does, it stays in the process table as a
 * zombie. Never -1: that would steal the exits of Node's own children.
 * Blocks the event loop, except with WNOHANG, when `undefined` says that nothing has happened yet.
 * Source: waitpid(2), wait(2) for the bits of the status.
 * @throws SyscallError ECHILD when `pid` is no child of this process, or someone has waited for it already
 */
export function waitpid(pid: number, options?: 0 | typeof WUNTRACED): WaitStatus;
export function waitpid(pid: number, options: number): WaitStatus | undefined;
export function waitpid(pid: number, options = 0): WaitStatus | undefined {
  if (!(Number.isInteger(pid) && pid > 0))
    throw new RangeError(`waitpid: ${pid} is no process id: wait for children one by one`);
  const status: [number] = [0];
  for (;;) {
    const result = c_waitpid(pid, status, options);
    if (result === 0) return undefined;
    if (result === pid) return decodeWaitStatus(status[0]);
    const errno = lastErrno();
    if (errno !== constants.errno.EINTR) throw new SyscallError('waitpid', errno, String(pid));
  }
}

/** The 16 bits that wait(2) fills in: low byte the signal (0x7f stopped, 0x80 core), high byte the exit code. */
export function decodeWaitStatus(bits: number): WaitStatus {
  if (bits === 0xffff) return { kind: 'continued' };
  const low = bits & 0x7f;
  const high = (bits >> 8) & 0xff;
  if (low === 0) return { kind: 'exited', code: high };
  if (low === 0x7f) return { kind: 'stopped', signal: high };
  return { kind: 'signaled', signal: low, coreDumped: (bits & 0x80) !== 0 };
}

/** A child's end as one number, as shells and Docker say it: the exit code, or 128 and the signal's number. */
export function exitCode(status: WaitStatus): number {
  if (status.kind === 'exited') return status.code;
  return status.kind === 'continued' ? 0 : 128 + status.signal;
}

/**
 * Waits for a child without blocking the event loop: looks at each SIGCHLD, and once at the start.
 * @throws SyscallError ECHILD (rejects) when `pid` is no child of this process
 */
export function waitAsync(pid: number): Promise<WaitStatus> {
  return new Promise((resolve, reject) => {
    // The handler does not keep the event loop alive; the timer does, and catches a signal that came before it.
    const timer = setInterval(look, 500);
    const done = (): void => {
      clearInterval(timer);
      process.off('SIGCHLD', look);
    };
    function look(): void {
      try {
        const status = waitpid(pid, WNOHANG);
        if (!status) return;
        done();
        resolve(status);
      } catch (error) {
        done();
        reject(error);
      }
    }
    process.on('SIGCHLD', look);
    look();
  });
}

/**
 * Replaces the program of this process: returns only by throwing. Descriptors 0, 1 and 2 stay open (libuv marks them
 * close-on-exec), and signals that Node ignores are set back, because both would be inherited.
 * @param path the executable's path; no search along PATH (see `findExecutable`)
 * @param env the environment as `NAME=value`
 * Source: execve(2).
 * @throws RangeError for text with a NUL byte, where C would end it; SyscallError ENOENT, EACCES, ENOEXEC, ELOOP, E2BIG …
 */
export function execve(path: string, argv: readonly string[], env: readonly string[]): never {
  for (const text of [path, ...argv, ...env])
    if (text.includes('\0')) throw new RangeError(`execve: NUL byte in ${JSON.stringify(text)}`);
  for (const fd of [0, 1, 2]) setCloseOnExec(fd, false);
  resetSignalsForExec();
  c_execve(path, [...argv, null], [...env, null]);
  throw new SyscallError('execve', lastErrno(), JSON.stringify(path));
}

const F_GETFD = 1;
const F_SETFD = 2;
const FD_CLOEXEC = 1;

/** Sets or clears close-on-exec on a descriptor; a descriptor that is not open is left alone. fcntl(2). */
export function setCloseOnExec(fd: number, on: boolean): void {
  const flags = c_fcntl(fd, F_GETFD, 'int', 0);
  if (flags === -1) return;
  checked('fcntl', c_fcntl(fd, F_SETFD, 'int', on ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC), `fd ${fd}`);
}

const O_CLOEXEC = 0o2000000;

/** A pipe whose ends close on exec. What is written to `write` is read from `read`. pipe(2). */
export function pipe(): { read: number; write: number } {
  const fds = new Int32Array(2);
  checked('pipe2', c_pipe2(fds, O_CLOEXEC));
  return { read: fds[0]!, write: fds[1]! };
}

/** Makes `newFd` another name of `oldFd`, closing what `newFd` was; the new one stays open on exec. dup(2). */
export function dup2(oldFd: number, newFd: number): void {
  checked('dup2', c_dup2(oldFd, newFd), `fd ${oldFd} to ${newFd}`);
}

/** Closes a descriptor that may be closed already. */
export function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch (error) {
    if (!isErrno(error, 'EBADF')) throw error;
  }
}
