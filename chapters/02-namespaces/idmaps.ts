import { closeSync, openSync, writeSync } from 'node:fs';
import { isErrno } from '../01-processes/index.ts';

/** One range of ids, named as in a container's config.json. */
export interface IdRange {
  /** First id inside. */
  containerID: number;
  /** First id outside: in the user namespace of the process that writes the map. */
  hostID: number;
  /** How many. */
  size: number;
}

/** The maps of a new user namespace. */
export interface IdMaps {
  uid: readonly IdRange[];
  gid: readonly IdRange[];
  /**
   * Whether processes inside may call setgroups(2). `deny` is what the kernel demands of a writer without CAP_SETGID: leaving a
   * group could otherwise give access that the group was to take away. Default: as it is, `allow`.
   */
  setgroups?: 'allow' | 'deny';
}

/** The kernel's limit. Source: user_namespaces(7). */
const MAX_RANGES = 340;
/** 2³² − 1 is no id: it means "leave unchanged" to chown(2). */
const MAX_ID = 2 ** 32 - 2;

/**
 * Writes the maps of the user namespace that `pid` is in, from outside. Each can be written once. Until then every id inside is
 * the overflow id (65534), and afterwards every id that no range names still is; to give a file to such an id, or to become it,
 * is EINVAL.
 *
 * A writer without CAP_SETUID and CAP_SETGID may map one id, its own, and must deny setgroups.
 * Source: user_namespaces(7).
 * @throws RangeError for a range that the kernel would refuse, saying which, before anything is written; Error with the cause: EPERM (second
 * time, or no right), ESRCH or ENOENT (no such process)
 */
export function writeIdMaps(pid: number, maps: IdMaps): void {
  checkRanges('uid', maps.uid);
  checkRanges('gid', maps.gid);
  //#gap 02.2 writeIdMaps
  writeProc(pid, 'uid_map', formatRanges(maps.uid));
  // Before gid_map: afterwards it can no longer be denied.
  if (maps.setgroups !== undefined) writeProc(pid, 'setgroups', maps.setgroups);
  writeProc(pid, 'gid_map', formatRanges(maps.gid));
  //#end
}

/** A map as the kernel reads it: a line a range, `inside outside count`. */
export function formatRanges(ranges: readonly IdRange[]): string {
  return ranges.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`).join('');
}

/** The reverse: what /proc/PID/uid_map says. */
export function parseRanges(text: string): IdRange[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.map((line) => {
    const [containerID, hostID, size] = line.trim().split(/\s+/).map(Number) as [number, number, number];
    return { containerID, hostID, size };
  });
}

/** The id outside for an id inside, or undefined where no range has it. */
export function toHostId(ranges: readonly IdRange[], id: number): number | undefined {
  const range = ranges.find(({ containerID, size }) => id >= containerID && id < containerID + size);
  return range && range.hostID + (id - range.containerID);
}

/** @throws RangeError for ranges that the kernel would refuse: which one, and what is allowed */
export function checkRanges(what: string, ranges: readonly IdRange[]): void {
  if (ranges.length === 0 || ranges.length > MAX_RANGES)
    throw new RangeError(`${what} map: ${ranges.length} ranges; from 1 to ${MAX_RANGES} are allowed`);
  ranges.forEach((range, i) => {
    const text = `${what} map, range ${i} (${range.containerID} ${range.hostID} ${range.size})`;
    const { containerID, hostID, size } = range;
    if (![containerID, hostID, size].every((n) => Number.isInteger(n) && n >= 0) || size === 0)
      throw new RangeError(`${text}: ids are whole numbers from 0, the size is at least 1`);
    if (containerID + size - 1 > MAX_ID || hostID + size - 1 > MAX_ID)
      throw new RangeError(`${text}: the last id is beyond ${MAX_ID}`);
    const clash = ranges.slice(0, i).find((earlier) => overlaps(earlier, range));
    if (clash) throw new RangeError(`${text}: overlaps ${clash.containerID} ${clash.hostID} ${clash.size}`);
  });
}

function overlaps(a: IdRange, b: IdRange): boolean {
  const meet = (from: number, other: number): boolean => from < other + b.size && other < from + a.size;
  return meet(a.containerID, b.containerID) || meet(a.hostID, b.hostID);
}

/** The kernel takes such a file in one write(2), from its beginning, or not at all. */
function writeProc(pid: number, file: string, text: string): void {
  const path = `/proc/${pid}/${file}`;
  try {
    const fd = openSync(path, 'w');
    try {
      writeSync(fd, text);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    const why = isErrno(error, 'EPERM') ? ' (written already, or without the right to)' : '';
    throw new Error(`write ${JSON.stringify(text.trim())} to ${path}: ${(error as Error).message}${why}`, {
      cause: error,
    });
  }
}
