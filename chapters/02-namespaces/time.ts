import { readFileSync, writeFileSync } from 'node:fs';
import { isErrno } from '../01-processes/index.ts';

/** How far the clocks of a time namespace are ahead of the machine's; negative: behind. */
export interface TimeOffsets {
  monotonic?: TimeOffset;
  boottime?: TimeOffset;
}

/** seconds; or seconds and nanoseconds apart, where a number would round. */
export type TimeOffset = number | { secs?: number; nanosecs?: number };

/**
 * Sets the clocks of the time namespace that `pid` has made for its children by unshare(NEWTIME): before the first process
 * enters it. The clock that tells the date has no namespace.
 * Source: time_namespaces(7).
 * @throws RangeError for what is no number; Error with the kernel's reason: EACCES once a process is inside, ERANGE for a clock that would run
 * before 0, EPERM
 */
export function writeTimeOffsets(pid: number | 'self', offsets: TimeOffsets): void {
  const lines = (Object.entries(offsets) as [string, TimeOffset][]).map(([clock, offset]) => {
    if (typeof offset === 'object') return `${clock} ${offset.secs ?? 0} ${offset.nanosecs ?? 0}\n`;
    if (!Number.isFinite(offset)) throw new RangeError(`${clock} offset ${offset}: seconds, as a number`);
    const whole = Math.floor(offset);
    return `${clock} ${whole} ${Math.round((offset - whole) * 1e9)}\n`;
  });
  const path = `/proc/${pid}/timens_offsets`;
  try {
    writeFileSync(path, lines.join(''));
  } catch (error) {
    const why = isErrno(error, 'EACCES')
      ? ': a process is in the time namespace already, and its clocks must not jump'
      : isErrno(error, 'ERANGE')
        ? ': a clock would be before 0, or too far ahead'
        : '';
    const { message, code } = error as NodeJS.ErrnoException;
    const text = `write ${JSON.stringify(lines.join('').trim())} to ${path}: ${message}${why}`;
    throw Object.assign(new Error(text, { cause: error }), { code });
  }
}

/** The offsets of the time namespace that the children of `pid` are born in, in seconds. */
export function readTimeOffsets(pid: number | 'self'): Required<TimeOffsets> {
  const text = readFileSync(`/proc/${pid}/timens_offsets`, 'utf8');
  const of = (clock: string): number => {
    const [, whole, nano] = new RegExp(`^${clock}\\s+(-?\\d+)\\s+(\\d+)$`, 'm').exec(text)!;
    return Number(whole) + Number(nano) / 1e9;
  };
  return { monotonic: of('monotonic'), boottime: of('boottime') };
}
