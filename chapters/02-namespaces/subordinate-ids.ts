import { readFileSync } from 'node:fs';
import { isErrno } from '../01-processes/index.ts';
import { checkRanges, type IdMaps, type IdRange } from './idmaps.ts';
import { runTool } from './tool.ts';

/** Who a person is, to /etc/subuid and to the kernel. */
export interface Person {
  name: string;
  uid: number;
  gid: number;
}

/** Ids that nobody has, lent to one person: `first` and so many after it. */
export interface SubordinateRange {
  first: number;
  count: number;
}

/**
 * The ids that a file such as /etc/subuid lends to a person: lines `NAME:FIRST:COUNT`, the number of the user counting as a name. A line
 * that is no such line lends nothing, and neither does a file that is not there.
 * Source: subuid(5).
 */
export function subordinateRanges(
  file: string,
  { name, uid }: Pick<Person, 'name' | 'uid'>,
): SubordinateRange[] {
  return readIfThere(file)
    .split('\n')
    .flatMap((line) => {
      const [, who, first, count] = /^([^:]+):(\d+):(\d+)\s*$/.exec(line) ?? [];
      if (who !== name && who !== String(uid)) return [];
      return [{ first: Number(first), count: Number(count) }];
    });
}

/**
 * The maps of a rootless container: the person is root inside, and the ids that /etc/subuid and /etc/subgid lend are 1, 2, 3 and so on.
 * @throws Error that says what to type, when nothing is lent
 */
export function rootlessMaps(person: Person): IdMaps {
  const map = (file: string, id: number): IdRange[] => {
    const lent = subordinateRanges(file, person);
    if (lent.length === 0)
      throw new Error(
        `${file} lends ${person.name} no ids: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${person.name}`,
      );
    const ranges: IdRange[] = [{ containerID: 0, hostID: id, size: 1 }];
    for (const { first, count } of lent) {
      const { containerID, size } = ranges.at(-1)!;
      ranges.push({ containerID: containerID + size, hostID: first, size: count });
    }
    return ranges;
  };
  return { uid: map('/etc/subuid', person.uid), gid: map('/etc/subgid', person.gid) };
}

/** The maps of somebody to whom no ids are lent: root inside, and nobody else. setgroups must then be denied. */
export const selfMaps = ({ uid, gid }: Pick<Person, 'uid' | 'gid'>): IdMaps => ({
  uid: [{ containerID: 0, hostID: uid, size: 1 }],
  gid: [{ containerID: 0, hostID: gid, size: 1 }],
  setgroups: 'deny',
});

/**
 * Writes maps that the kernel would not take from a person without rights, with newuidmap(1) and newgidmap(1): programs of root's that look
 * into /etc/subuid and /etc/subgid whether the ids are lent. Called as the person who made the namespace of `pid`.
 * @throws RangeError as writeIdMaps; Error with the program's words: `uid range [1-2) -> [0-1) not allowed`; and where it is not installed
 */
export function writeIdMapsWithHelpers(pid: number, maps: IdMaps): void {
  checkRanges('uid', maps.uid);
  checkRanges('gid', maps.gid);
  //#gap 02.7 writeIdMapsWithHelpers
  const numbers = (ranges: readonly IdRange[]): string[] =>
    ranges.flatMap(({ containerID, hostID, size }) => [containerID, hostID, size].map(String));
  runTool('newuidmap', [String(pid), ...numbers(maps.uid)]);
  runTool('newgidmap', [String(pid), ...numbers(maps.gid)]);
  //#end
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return '';
    throw error;
  }
}
