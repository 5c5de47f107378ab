/**
 * Bytes from a size as people write it: `512m`, `1.5g`, `64KiB`, `1000`. Units are powers of 1024, as Docker counts memory.
 * @throws RangeError for what is no size, or more than 64 bits hold
 */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?$/i.exec(text.trim());
  if (!match)
    throw new RangeError(
      `invalid size ${JSON.stringify(text)}: give bytes, or a number with b, k, m, g, t or p: 512m`,
    );
  const bytes = Math.floor(Number(match[1]) * 1024 ** ' kmgtp'.indexOf(match[2]!.toLowerCase() || ' '));
  if (bytes >= 2 ** 63)
    throw new RangeError(`invalid size ${JSON.stringify(text)}: the kernel counts up to 8191p`);
  return bytes;
}

/** The period in which Docker counts out processor time: microseconds. */
const PERIOD = 100_000;

/**
 * `docker run --cpus 1.5` as the kernel wants it: so many microseconds in every 100 ms, over all processors together.
 * @throws RangeError for less than a hundredth: the kernel gives no less than 1 ms
 */
export function cpusToQuota(cpus: number): { quota: number; period: number } {
  if (!(cpus >= 0.01 && Number.isFinite(cpus)))
    throw new RangeError(`invalid number of processors ${cpus}: give 0.01 or more`);
  return { quota: Math.round(cpus * PERIOD), period: PERIOD };
}

/** Weights for `cpu.weight` (1 to 10000) from v1's shares (2 to 262144), the ends on the ends, as runc does. */
export const sharesToWeight = (shares: number): number => 1 + Math.floor(((shares - 2) * 9999) / 262142);

/** Weights for `io.weight` (1 to 10000) from v1's blkio weight (10 to 1000). */
export const blkioToIoWeight = (weight: number): number => 1 + Math.floor(((weight - 10) * 9999) / 990);

/** A list as cpusets write it, `0-2,7`, as numbers in order. @throws RangeError for what is none, or has more than 8192 numbers */
export function parseList(text: string): number[] {
  const numbers = new Set<number>();
  for (const part of text.trim().split(',')) {
    const [, from, to = from] = /^(\d+)(?:-(\d+))?$/.exec(part.trim()) ?? [];
    // No machine that Linux runs on has more: NR_CPUS.
    if (from === undefined || Number(to) < Number(from) || Number(to) >= 8192)
      throw new RangeError(
        `invalid list ${JSON.stringify(text)}: give numbers and ranges below 8192, such as 0-2,7`,
      );
    for (let n = Number(from); n <= Number(to); n++) numbers.add(n);
  }
  return [...numbers].sort((a, b) => a - b);
}
