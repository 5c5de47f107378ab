import { constants } from 'node:os';
import { checked, errnoName } from './errors.ts';
import { c_kill, c_signal, c_sigprocmask, lastErrno } from './syscalls.ts';

/** Numbers by name: `SIGNALS.SIGTERM === 15`. Source: signal(7). */
export const SIGNALS: Readonly<Record<string, number>> = constants.signals;

const SIG_DFL = 0;
const SIG_SETMASK = 2;
/** sizeof(sigset_t) in glibc: 1024 bits. */
const SIGSET_BYTES = 128;

/**
 * The number of a signal given as a person does: `9`, `"9"`, `KILL`, `SIGKILL`, `sigkill`, `RTMIN+3`.
 * @throws RangeError that says what is allowed
 */
export function signalNumber(signal: string | number): number {
  const text = String(signal).trim().toUpperCase();
  const realtime = /^(?:SIG)?RT(MIN|MAX)(?:([+-])(\d+))?$/.exec(text);
  const number = /^\d+$/.test(text)
    ? Number(text)
    : realtime
      ? (realtime[1] === 'MIN' ? 34 : 64) + Number(`${realtime[2] ?? '+'}${realtime[3] ?? 0}`)
      : (SIGNALS[text] ?? SIGNALS[`SIG${text}`]);
  if (number === undefined || number < 1 || number > 64)
    throw new RangeError(
      `invalid signal ${JSON.stringify(signal)}: give a name (SIGTERM, TERM) or a number from 1 to 64`,
    );
  return number;
}

/** The name of a signal's number: `signalName(15) === 'SIGTERM'`; real-time signals as `SIGRTMIN+n`. */
export function signalName(number: number): string {
  if (number >= 34 && number <= 64) return number === 34 ? 'SIGRTMIN' : `SIGRTMIN+${number - 34}`;
  return Object.keys(SIGNALS).find((name) => SIGNALS[name] === number) ?? `signal ${number}`;
}

/**
 * Sends a signal to a process, or to a process group if `pid` is negative. 0 sends nothing and only asks whether one could.
 * Never to 0 (one's own group) or -1 (every process that one may signal): with them a number gone wrong ends the machine's day.
 * Source: kill(2).
 * @throws RangeError for such a `pid`; SyscallError ESRCH when there is no such process, EPERM when it is not ours to signal
 */
export function kill(pid: number, signal: number): void {
  if (!Number.isInteger(pid) || pid === 0 || pid === -1)
    throw new RangeError(`kill: ${pid} is no process and no process group`);
  checked('kill', c_kill(pid, signal), `${pid} with ${signal === 0 ? '0' : signalName(signal)}`);
}

/** Whether a process exists (a zombie does), also one that is not ours to signal. */
export function isAlive(pid: number): boolean {
  return c_kill(pid, 0) === 0 || errnoName(lastErrno()) === 'EPERM';
}

/**
 * What a program may expect of its start: no signal blocked, and none ignored that only Node ignores. Ignored signals and the
 * mask survive execve(2); handlers do not.
 */
export function resetSignalsForExec(): void {
  c_signal(constants.signals.SIGPIPE, SIG_DFL);
  c_signal(constants.signals.SIGXFSZ, SIG_DFL);
  checked('sigprocmask', c_sigprocmask(SIG_SETMASK, Buffer.alloc(SIGSET_BYTES), null));
}

/** The names in a mask of signals, as in `readStatus(pid).signals`: bit n is signal n + 1. */
export const signalsOf = (mask: bigint): string[] =>
  Array.from({ length: 64 }, (_, bit) => bit)
    .filter((bit) => mask & (1n << BigInt(bit)))
    .map((bit) => signalName(bit + 1));
