import { parseDuration } from './cli-values.ts';

/**
 * A time as the API wants it, `seconds.nanoseconds` since 1970: from a duration before now, RFC 3339 (the zone may be left out: this
 * machine's), a date, or such seconds themselves.
 */
export function apiTime(text: string, now: number): string {
  if (/^\d+(\.\d{1,9})?$/.test(text)) return text;
  const precise = /^(\d{4}-\d\d-\d\d(?:T\d\d(?::\d\d(?::\d\d)?)?)?)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?$/.exec(
    text,
  );
  if (precise) {
    const [, date = '', fraction = '', zone = ''] = precise;
    const full = `${date}${'T00:00:00'.slice(Math.max(0, date.length - 10))}`;
    const milliseconds = new Date(full + zone).getTime();
    if (!Number.isNaN(milliseconds)) return `${Math.floor(milliseconds / 1000)}.${fraction.padEnd(9, '0')}`;
  }
  let nanoseconds: number;
  try {
    nanoseconds = parseDuration(text);
  } catch (error) {
    throw new RangeError(`failed to parse value as time or duration: ${JSON.stringify(text)}`, {
      cause: error,
    });
  }
  const then = now - nanoseconds / 1e6;
  return `${Math.floor(then / 1000)}.${String(Math.floor((then % 1000) * 1e6)).padStart(9, '0')}`;
}
