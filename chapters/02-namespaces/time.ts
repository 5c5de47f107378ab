import { writeFileSync } from 'node:fs';

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
 * @throws EACCES once a process is inside; ERANGE for a clock that would run before 0; EPERM
 */
export function writeTimeOffsets(pid: number | 'self', offsets: TimeOffsets): void {
  const lines = (Object.entries(offsets) as [string, TimeOffset][]).map(([clock, offset]) => {
    if (typeof offset === 'object') return `${clock} ${offset.secs ?? 0} ${offset.nanosecs ?? 0}\n`;
    const whole = Math.floor(offset);
    return `${clock} ${whole} ${Math.round((offset - whole) * 1e9)}\n`;
  });
  writeFileSync(`/proc/${pid}/timens_offsets`, lines.join(''));
}
