import { readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fork, isErrno, waitpid } from '../../01-processes/index.ts';
import {
  joinNamespaces,
  namespaceId,
  namespaceIds,
  namespacePath,
  NAMESPACES,
  pinNamespace,
  setPropagation,
  unpinNamespace,
  type NamespaceKind,
  unshare,
  CLONE,
  mount,
  MNT,
  MS,
  umount,
} from '../index.ts';
import { inChild, parked, temporaryDirectory } from './probe.ts';

// The three calls, and a pin, for each of the eight kinds. What each kind hides is in the tests named after it.

const kinds = Object.keys(NAMESPACES) as NamespaceKind[];
const differing = (of: Partial<Record<NamespaceKind, string>>): NamespaceKind[] => {
  const own = namespaceIds('self');
  return kinds.filter((kind) => of[kind] !== own[kind]);
};

test('this kernel has all eight', () => {
  expect(Object.keys(namespaceIds('self')).sort()).toEqual([...kinds].sort());
  expect(kinds).toHaveLength(8);
});

describe.each(kinds)('%s', (kind) => {
  const { flag } = NAMESPACES[kind];

  test('clone makes a child in a new one, and in none of another kind', () => {
    expect(differing(inChild(() => namespaceIds('self')))).toEqual([]);
    const child = parked(() => undefined, flag);
    try {
      expect(differing(namespaceIds(child.pid))).toEqual([kind]);
    } finally {
      child.end();
    }
  });

  test('unshare makes a new one, for the caller or for its children', () => {
    const forChildren = kind === 'pid' || kind === 'time';
    const { self, child } = inChild(() => {
      unshare(flag);
      return { self: namespaceIds('self'), child: namespacesOfChild() };
    });
    expect(differing(self)).toEqual(forChildren ? [] : [kind]);
    expect(differing(child)).toEqual([kind]);
  });

  test('setns joins that of another process, for the caller or for its children', () => {
    const other = parked(() => undefined, flag);
    try {
      const { self, child } = inChild(() => {
        joinNamespaces({ [kind]: namespacePath(other.pid, kind) });
        return { self: namespaceIds('self'), child: namespacesOfChild() };
      });
      expect(self[kind]).toBe(namespaceId(kind === 'pid' ? 'self' : other.pid, kind));
      expect(child[kind]).toBe(namespaceId(other.pid, kind));
      expect(differing(child)).toEqual([kind]);
    } finally {
      other.end();
    }
  });

  test('pinned it outlives its process, except that an empty pid namespace takes nobody in any more', () => {
    const { dir, remove } = temporaryDirectory();
    const file = join(dir, kind);
    // A mount namespace cannot be pinned on a mount that spreads into it.
    mount({ source: dir, target: dir, flags: MS.BIND });
    try {
      setPropagation(dir, 'private');
      const id = pinAndEnd(kind, file);
      const joined = (): string =>
        inChild(() => {
          joinNamespaces({ [kind]: file });
          return namespacesOfChild()[kind]!;
        });
      if (kind === 'pid') expect(joined).toThrow('fork: ENOMEM (Cannot allocate memory)');
      else expect(joined()).toBe(id);
    } finally {
      unpinNamespace(file);
      umount(dir, MNT.DETACH);
      remove();
    }
  });
});

/**
 * Pins a new namespace whose only process then ends; returns its id. A mount namespace is refused (EINVAL) when its kernel-wide number is lower
 * than that of the namespace in which it is pinned, so that no two hold each other. Since Linux 6.18 each processor gives numbers
 * out of a store of its own, and a younger namespace may have the lower one: then another is made.
 */
function pinAndEnd(kind: NamespaceKind, file: string): string {
  for (let tries = 1; ; tries++) {
    const child = parked(() => undefined, NAMESPACES[kind].flag);
    try {
      pinNamespace(namespacePath(child.pid, kind), file);
      return namespaceId(child.pid, kind);
    } catch (error) {
      if (kind !== 'mnt' || tries === 100 || !isErrno(error, 'EINVAL')) throw error;
    } finally {
      child.end();
    }
  }
}

/** The namespaces of a child of the caller, read by the caller: in a new pid namespace a child cannot find itself in the host's /proc. */
function namespacesOfChild(): Partial<Record<NamespaceKind, string>> {
  const child = parked(() => undefined);
  try {
    return namespaceIds(child.pid);
  } finally {
    child.end();
  }
}

test('what unshare made for the children is seen beside what the process is in', () => {
  const seen = inChild(() => {
    unshare(CLONE.NEWTIME | CLONE.NEWPID);
    waitpid(fork(() => 0));
    return ['time', 'pid'].map((kind) => [
      readlinkSync(`/proc/self/ns/${kind}`),
      readlinkSync(`/proc/self/ns/${kind}_for_children`),
    ]);
  });
  expect(seen.map(([self]) => self)).toEqual([namespaceId('self', 'time'), namespaceId('self', 'pid')]);
  for (const [self, children] of seen) expect(children).not.toBe(self);
});

test('a kind, a process or a right that is not there is said', () => {
  const gone = parked(() => undefined);
  gone.end();
  expect(() => namespaceIds(gone.pid)).toThrow('ENOENT');
  expect(() => inChild(() => joinNamespaces({ uts: namespacePath(gone.pid, 'uts') }))).toThrow(
    `/proc/${gone.pid}/ns/uts`,
  );
  const before = namespaceIds('self');
  const nonsense = { nonsense: '/proc/self/ns/uts' } as Partial<Record<NamespaceKind, string>>;
  expect(() => inChild(() => joinNamespaces(nonsense))).toThrow(
    'unknown namespace "nonsense": one of user, cgroup, ipc, uts, net, pid, time, mnt',
  );
  expect(namespaceIds('self')).toEqual(before);
});
