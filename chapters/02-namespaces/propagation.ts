import type { MountInfo } from '../01-processes/index.ts';
import { mount } from './mount.ts';
import { PROPAGATION_OPTIONS } from './mount-options.ts';

/** How a mount passes on what is mounted below it, and takes what is mounted elsewhere. Source: mount_namespaces(7). */
export interface Peer {
  /** `shared:N` in mountinfo: the peer group, whose members tell each other everything. Left out: the mount tells nobody. */
  group?: number;
  /** `master:N`: the peer group that it takes from and gives nothing back to. */
  master?: number;
  /** A private mount that can't be bound elsewhere. */
  unbindable?: boolean;
}

/**
 * Says how a mount is to spread, by mount(8)'s words: `private`, `shared`, `slave`, `unbindable`; with an `r` before it for all mounts
 * below too. `slave` makes a slave of who was shared; on a private mount it changes nothing. `shared` after it makes it both.
 * Source: mount(2), "Changing the propagation type of an existing mount".
 * @throws RangeError for another word; SyscallError EINVAL when `target` is no mount point
 */
export function setPropagation(target: string, word: string): void {
  if (!Object.hasOwn(PROPAGATION_OPTIONS, word))
    throw new RangeError(
      `invalid propagation ${JSON.stringify(word)}: one of ${Object.keys(PROPAGATION_OPTIONS).join(', ')}`,
    );
  mount({ target, flags: PROPAGATION_OPTIONS[word]! });
}

/** What mountinfo says of it. The numbers are the kernel's, and the same in every mount namespace. */
export function peerOf({ propagation }: Pick<MountInfo, 'propagation'>): Peer {
  const number = (word: string): number | undefined => {
    const found = propagation.find((entry) => entry.startsWith(`${word}:`));
    return found === undefined ? undefined : Number(found.slice(word.length + 1));
  };
  const [group, master] = [number('shared'), number('master')];
  return {
    ...(group !== undefined && { group }),
    ...(master !== undefined && { master }),
    ...(propagation.includes('unbindable') && { unbindable: true }),
  };
}

/** In a word or two, as findmnt(8) says it: `shared`, `private,slave`. */
export function describePeer({ group, master, unbindable }: Peer): string {
  const taking = master === undefined ? [] : ['slave'];
  return [group !== undefined ? 'shared' : unbindable ? 'unbindable' : 'private', ...taking].join(',');
}

/**
 * Which of `all` get what is mounted below `from`, `from` itself left out: its peers, the slaves of their group, and, where such a slave is
 * shared itself, its peers and slaves in turn.
 */
export function receivers<T extends Peer>(from: T, all: readonly T[]): T[] {
  //#gap 02.6 receivers
  const groups = new Set<number | undefined>();
  if (from.group !== undefined) groups.add(from.group);
  // A Set hands out what is added to it during the walk: so the walk goes down, from slave to slave.
  for (const reached of groups)
    for (const { group, master } of all) if (master === reached && group !== undefined) groups.add(group);
  const takes = ({ group, master }: Peer): boolean =>
    (group !== undefined && groups.has(group)) || (master !== undefined && groups.has(master));
  return all.filter((mount) => mount !== from && takes(mount));
  //#end
}
