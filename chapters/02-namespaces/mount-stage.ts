import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { readMountinfo } from '../01-processes/index.ts';
import { ask, parked, type Parked } from './demo-support.ts';
import { mount } from './mount.ts';
import { CLONE, joinNamespaces, namespacePath, unshare } from './namespaces.ts';
import { peerOf, setPropagation, type Peer } from './propagation.ts';

// A stage for mount propagation: several mount namespaces that have one directory in common. None of it reaches the machine's own.

/** A mount namespace to be made: a copy of the one named `from`, in which the directory then gets `words`. */
export interface Actor {
  name: string;
  /** Left out for the first, which begins with a shared tmpfs on the directory. */
  from?: string;
  /** Words of propagation, one call each: `['slave', 'shared']`. */
  words: string[];
}

/** What one of them sees, in the end. */
export interface Seen extends Peer {
  name: string;
  pid: number;
  /** Whose mounts arrived here; its own is among them. */
  sees: string[];
}

/**
 * Puts each actor into a mount namespace, lets each of them in turn mount something on a directory of its own name, and reports who sees
 * what. The processes wait until `end`.
 */
export function playPropagation(dir: string, actors: readonly Actor[]): { seen: Seen[]; end: () => void } {
  const players = new Map<string, Parked>();
  const end = (): void => players.forEach((player) => player.end());
  const enter = (name: string): void => joinNamespaces({ mnt: namespacePath(players.get(name)!.pid, 'mnt') });
  try {
    for (const { name, from, words } of actors)
      players.set(
        name,
        parked(() => {
          if (from === undefined) setStage(dir, actors);
          else {
            enter(from);
            unshare(CLONE.NEWNS);
          }
          for (const word of words) setPropagation(dir, word);
        }),
      );
    for (const { name } of actors)
      ask(() => {
        enter(name);
        mount({ source: `of-${name}`, target: join(dir, name), type: 'tmpfs' });
      });
    return { seen: actors.map(({ name }) => look(dir, name, players.get(name)!.pid)), end };
  } catch (error) {
    end();
    throw error;
  }
}

function setStage(dir: string, actors: readonly Actor[]): void {
  unshare(CLONE.NEWNS);
  setPropagation('/', 'rprivate');
  mount({ source: 'stage', target: dir, type: 'tmpfs' });
  for (const { name } of actors) mkdirSync(join(dir, name));
  setPropagation(dir, 'shared');
}

function look(dir: string, name: string, pid: number): Seen {
  const mounts = readMountinfo(pid) ?? [];
  const stage = mounts.findLast(({ mountPoint }) => mountPoint === dir)!;
  const sees = mounts.filter(({ source }) => source.startsWith('of-')).map(({ source }) => source.slice(3));
  return { name, pid, sees: sees.sort(), ...peerOf(stage) };
}
