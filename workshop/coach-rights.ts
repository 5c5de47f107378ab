import { statSync } from 'node:fs';
import { readCapabilities } from '../chapters/01-processes/index.ts';
import type { Failure, Rule } from './coach-rule.ts';
import { can, textOf } from './coach-machine.ts';

// Who a process is and what it may do: the id maps of user namespaces, setresuid(2), setgroups(2), capset(2), prctl(2).

const USER = ['setresuid', 'setuid', 'setreuid'];
const GROUP = ['setresgid', 'setgid', 'setregid', 'setgroups'];

/** The file of id maps that was written, `uid_map`, `gid_map` or `setgroups`. */
const mapOf = ({ subject }: Failure): string | undefined =>
  /^\/proc\/(?:\d+|self)\/(uid_map|gid_map|setgroups)$/.exec(subject)?.[1];
const beside = ({ subject }: Failure, file: string): string => textOf(subject.replace(/\w+$/, file));
const isMap = (failure: Failure): boolean => /^[ug]id_map$/.test(mapOf(failure) ?? '');
const namespaceOf = (process: string): number => statSync(`/proc/${process}/ns/user`).ino;

export const rightsRules: readonly Rule[] = [
  {
    calls: ['write', 'open'],
    codes: ['EPERM'],
    when: (failure) => isMap(failure) && textOf(failure.subject) !== '' && !isOwn(failure),
    says: (failure) =>
      `${mapOf(failure)} has been written already (${textOf(failure.subject).replace(/\s+/g, ' ')}), and each map can be written once. Write all ranges in one write(2).`,
  },
  {
    calls: ['write', 'open'],
    codes: ['EPERM'],
    when: (failure) => isMap(failure) && textOf(failure.subject) !== '',
    says: 'That process is in the same user namespace as this one, whose map was written long ago. It must first be in a new one: unshare CLONE_NEWUSER, and tell the writer when that is done.',
  },
  {
    calls: ['write', 'open'],
    codes: ['EPERM'],
    when: (failure) =>
      mapOf(failure) === 'gid_map' && beside(failure, 'setgroups') === 'allow' && !can('CAP_SETGID'),
    says: 'A writer without CAP_SETGID outside may map a group only after setgroups was denied. Write "deny" to /proc/PID/setgroups before gid_map.',
  },
  {
    calls: ['write', 'open'],
    codes: ['EPERM'],
    when: (failure) => isOwnEmpty(failure),
    says: (failure) =>
      `The process writes its own ${mapOf(failure)}: then it may map one id, the one that it had outside, and for groups setgroups must be denied first. Let the parent, outside, write the map.`,
  },
  {
    calls: ['write', 'open'],
    codes: ['EPERM'],
    when: isMap,
    says: 'The writer may map one id, its own: more needs CAP_SETUID and CAP_SETGID in the parent user namespace. Let root write the map.',
  },
  {
    calls: ['write', 'open'],
    codes: ['EPERM'],
    when: (failure) => mapOf(failure) === 'setgroups' && beside(failure, 'gid_map') !== '',
    says: 'setgroups can be denied only before gid_map is written, and gid_map has been written. Write uid_map, then setgroups, then gid_map.',
  },
  {
    calls: ['write', 'open'],
    codes: ['EINVAL'],
    when: isMap,
    says: 'A map is lines of three numbers, "inside outside count"; no range may overlap another, have a count of 0, or go beyond what is mapped outside, and there are at most 340. All come in one write(2).',
  },
  {
    calls: ['setgroups'],
    codes: ['EPERM'],
    when: () => textOf('/proc/self/setgroups') === 'deny',
    says: '/proc/self/setgroups says deny: in this user namespace nobody may change supplementary groups. Leave the call out, or write the map as root without denying it.',
  },
  {
    calls: ['setgroups'],
    codes: ['EPERM'],
    when: () => can('CAP_SETGID') && textOf('/proc/self/gid_map') === '',
    says: 'This user namespace has no gid_map yet, and until it has one nobody in it may set groups. Write the maps first, from outside.',
  },
  {
    calls: GROUP,
    codes: ['EPERM'],
    when: () => !can('CAP_SETGID'),
    says: 'To change groups needs CAP_SETGID, which is lost as soon as the user is no longer root. Set groups first, then the group, and the user last.',
  },
  {
    calls: USER,
    codes: ['EPERM'],
    when: () => !can('CAP_SETUID'),
    says: 'To become another user needs CAP_SETUID, and this process does not have it. Change the user before capabilities are dropped, and only once.',
  },
  {
    calls: ['capset'],
    codes: ['EPERM'],
    says: () =>
      `capset can only take away: effective must lie within permitted, permitted can not grow (it has ${readCapabilities('self')!.permitted.length} capabilities now), inheritable must lie within the bounding set. The words are in the order effective, permitted, inheritable, low halves first.`,
  },
  {
    calls: ['capset', 'capget'],
    codes: ['EINVAL'],
    says: 'The header has no version that the kernel knows. Write _LINUX_CAPABILITY_VERSION_3 (0x20080522) and the pid 0, and call again.',
  },
  {
    calls: ['prctl'],
    codes: ['EPERM'],
    when: ({ subject }) => subject === 'PR_CAPBSET_DROP',
    says: 'To take something out of the bounding set needs CAP_SETPCAP, and this process does not have it. Limit the bounding set before the other sets.',
  },
  {
    calls: ['prctl'],
    codes: ['EPERM'],
    when: ({ subject }) => subject === 'PR_CAP_AMBIENT',
    says: 'A capability can become ambient only while it is permitted and inheritable. Put it into the inheritable set first (capset).',
  },
  {
    calls: ['prctl'],
    codes: ['EINVAL'],
    says: ({ subject }) =>
      `prctl knows no such operation, or no such value for it (${subject}). Compare the numbers with prctl(2); arguments that an operation does not use must be 0.`,
  },
];

const isOwn = ({ subject }: Failure): boolean =>
  namespaceOf(subject.split('/')[2]!) === namespaceOf('self') &&
  textOf('/proc/self/uid_map').replace(/\s+/g, ' ') === '0 0 4294967295';

const isOwnEmpty = (failure: Failure): boolean =>
  isMap(failure) && namespaceOf(failure.subject.split('/')[2]!) === namespaceOf('self');
