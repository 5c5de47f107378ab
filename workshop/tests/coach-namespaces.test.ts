import { closeSync, openSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  chroot,
  clone,
  CLONE,
  mount,
  MS,
  setgid,
  sethostname,
  setns,
  setuid,
  unshare,
} from '../../chapters/02-namespaces/index.ts';
import { explain } from '../coach.ts';
import { type Row, explains, dropAll, mappedUser } from './coach-support.ts';

const NAMESPACES: Row[] = [
  [
    'a kind of namespace whose limit is 0',
    () => {
      mappedUser();
      writeFileSync('/proc/sys/user/max_uts_namespaces', '0');
      unshare(CLONE.NEWUTS);
    },
    'max_uts_namespaces is 0',
  ],
  [
    'more namespaces than the limit',
    () => {
      mappedUser();
      writeFileSync('/proc/sys/user/max_uts_namespaces', '1');
      unshare(CLONE.NEWUTS);
      unshare(CLONE.NEWUTS);
    },
    'The limit of namespaces is reached (max_uts_namespaces is 1)',
  ],
  [
    'a user namespace by nobody',
    () => (unshare(CLONE.NEWUSER), unshare(CLONE.NEWUSER)),
    'has no uid_map yet',
  ],
  [
    'a user namespace after chroot',
    ({ folder }) => {
      mount({ source: '/', target: folder, flags: MS.BIND | MS.REC });
      chroot(folder);
      unshare(CLONE.NEWUSER);
    },
    'whose root was changed by chroot',
  ],
  [
    'unshare without the capability',
    () => (dropAll(), unshare(CLONE.NEWUTS)),
    'Only CLONE_NEWUSER can be had without',
  ],
  ['unshare with flags of nothing', () => unshare(1), 'name no kind of namespace'],
  [
    'clone with flags that do not go together',
    () => clone(CLONE.NEWUSER | CLONE.FS, () => 0),
    'does not go with CLONE_FS',
  ],
  [
    'setns with a closed descriptor',
    () => {
      const fd = openSync('/proc/self/ns/uts', 'r');
      closeSync(fd);
      setns(fd, CLONE.NEWUTS);
    },
    'it was closed before it was joined',
  ],
  ['setns with a file', () => setns(openSync('/etc/passwd', 'r'), CLONE.NEWUTS), 'which is no namespace'],
  [
    'setns with the flag of another kind',
    () => setns(openSync('/proc/self/ns/uts', 'r'), CLONE.NEWNET),
    'asks for a namespace of kind net',
  ],
  [
    'setns into the own user namespace',
    () => setns(openSync('/proc/self/ns/user', 'r'), CLONE.NEWUSER),
    'in that user namespace already',
  ],
  [
    'setns into a namespace of the host from a user namespace',
    () => {
      const fd = openSync('/proc/self/ns/uts', 'r');
      unshare(CLONE.NEWUSER);
      setns(fd, CLONE.NEWUTS);
    },
    'belongs to a user namespace in which this process has no rights',
  ],
  [
    'a host name that is too long',
    () => (unshare(CLONE.NEWUTS), sethostname('x'.repeat(65))),
    'this one has 65',
  ],
  [
    'the host’s name from a user namespace',
    () => (unshare(CLONE.NEWUSER), sethostname('x')),
    'CLONE_NEWUTS together with CLONE_NEWUSER',
  ],
  [
    'a host name without the capability',
    () => (unshare(CLONE.NEWUTS), dropAll(), sethostname('x')),
    'host name needs CAP_SYS_ADMIN',
  ],
  [
    'the namespace of a process that is gone',
    () => openSync('/proc/4194303/ns/net', 'r'),
    'There is no process 4194303',
  ],
  [
    '/proc in a root that has none',
    ({ folder }) => {
      chroot(folder);
      openSync('/proc/self/ns/net', 'r');
    },
    'No proc is mounted',
  ],
  ['a user that is not mapped', () => (mappedUser(), setuid(5000)), 'The id 5000 is not in the uid_map'],
  ['a group that is not mapped', () => (mappedUser(), setgid(5000)), 'The id 5000 is not in the gid_map'],
];

explains('namespaces', NAMESPACES);

/** What the coach says of an error of this process. @throws Error when there is none */
function refused(fn: () => unknown): string {
  try {
    fn();
  } catch (error) {
    return explain(error) ?? String(error);
  }
  throw new Error('nothing was refused');
}

describe('the coach on a process with threads', () => {
  test('that wants a user namespace', () => {
    expect(refused(() => unshare(CLONE.NEWUSER))).toContain('Fork first, and do it in the child');
  });

  test('that joins a mount namespace', () => {
    const fd = openSync('/proc/self/ns/mnt', 'r');
    expect(refused(() => setns(fd, CLONE.NEWNS))).toContain('Call unshare(CLONE_FS) first');
    closeSync(fd);
  });
});
