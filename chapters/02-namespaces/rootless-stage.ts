import { appendFileSync, chmodSync, copyFileSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { PR, prctl } from '../01-processes/index.ts';
import { mount, MS } from './mount.ts';
import { CLONE, unshare } from './namespaces.ts';
import { setPropagation } from './propagation.ts';
import type { Person } from './subordinate-ids.ts';
import { setgid, setgroups, setuid } from './user.ts';

// A person without rights, for demo, tests and checks: known in a mount namespace of the caller's own, and nowhere else.

/** Becomes this person, for good: no group but those given, no capability. */
export function becomePerson({ uid, gid }: Pick<Person, 'uid' | 'gid'>, groups: number[] = []): void {
  setgroups(groups);
  setgid(gid);
  setuid(uid);
  // Who changes its id owns its own files in /proc no longer, and could not write its own maps.
  prctl(PR.SET_DUMPABLE, 1);
}

/**
 * Makes the machine know a person, in a new mount namespace of the calling process: copies of /etc/passwd, /etc/group, /etc/subuid and /etc/subgid
 * with a line more lie over the files. Only in a child, which must end: that takes it back.
 * @param folder for the copies, empty
 * @param lent what subuid and subgid lend, if anything
 */
export function introduce(person: Person, folder: string, lent?: { first: number; count: number }): void {
  unshare(CLONE.NEWNS);
  setPropagation('/', 'rprivate');
  mkdirSync(folder, { recursive: true });
  const { name, uid, gid } = person;
  const line = lent ? `${name}:${lent.first}:${lent.count}` : '';
  const lines = {
    '/etc/passwd': `${name}:x:${uid}:${gid}::/:/bin/sh`,
    '/etc/group': `${name}:x:${gid}:`,
    '/etc/subuid': line,
    '/etc/subgid': line,
  };
  for (const [file, added] of Object.entries(lines)) {
    const copy = join(folder, basename(file));
    copyFileSync(file, copy);
    appendFileSync(copy, `${added}\n`);
    chmodSync(copy, 0o644);
    mount({ source: copy, target: file, flags: MS.BIND });
  }
}
