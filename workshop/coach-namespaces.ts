import { readlinkSync } from 'node:fs';
import type { Failure, Rule } from './coach-rule.ts';
import { can, inUserNamespace, isForeign, isThere, textOf, threads } from './coach-machine.ts';

// unshare(2), setns(2), clone(2), and names: sethostname(2). The subjects name flags as `CLONE_NEWNS|CLONE_NEWUTS`, and setns `fd 5 as …`.

const MAKE = ['unshare', 'clone', 'clone3'];
const HOSTNAME = ['sethostname', 'setdomainname'];

/** The kinds of namespaces that stand in a subject, as /proc/sys/user writes them. */
const kindsIn = ({ subject }: Failure): string[] =>
  [...subject.matchAll(/CLONE_NEW([A-Z]+)/g)].map(([, kind]) =>
    kind === 'NS' ? 'mnt' : kind!.toLowerCase(),
  );
const wants = (kind: string) => (failure: Failure) => kindsIn(failure).includes(kind);
const limitOf = (kind: string): string => textOf(`/proc/sys/user/max_${kind}_namespaces`);

/** What a descriptor in the subject leads to: `uts:[4026531838]`, or a path. */
const linkOf = ({ subject }: Failure): string =>
  readlinkSync(`/proc/self/fd/${/fd (\d+)/.exec(subject)![1]}`);

export const namespaceRules: readonly Rule[] = [
  {
    calls: ['unshare', 'setns'],
    codes: ['EINVAL'],
    when: (failure) => wants('user')(failure) && threads() > 1,
    says: () =>
      `A process with several threads cannot change its user namespace, and this one has ${threads()}: every Node has. Fork first, and do it in the child.`,
  },
  {
    calls: MAKE,
    codes: ['ENOSPC', 'EUSERS'],
    when: (failure) => kindsIn(failure).some((kind) => limitOf(kind) === '0'),
    says: (failure) => {
      const kind = kindsIn(failure).find((one) => limitOf(one) === '0')!;
      return `This user namespace may make no ${kind} namespaces: /proc/sys/user/max_${kind}_namespaces is 0. Raise that number.`;
    },
  },
  {
    calls: MAKE,
    codes: ['ENOSPC', 'EUSERS'],
    says: (failure) =>
      `The limit of namespaces is reached (${kindsIn(failure)
        .map((kind) => `max_${kind}_namespaces is ${limitOf(kind)}`)
        .join(
          ', ',
        )}), or they are nested more than 32 deep. End what holds them: a leaked process, a bind mount of /proc/PID/ns; or raise it in /proc/sys/user.`,
  },
  {
    calls: MAKE,
    codes: ['EPERM'],
    when: (failure) => wants('user')(failure) && textOf('/proc/self/uid_map') === '',
    says: 'The user namespace that this process is in has no uid_map yet, so the process is nobody there, and nobody may make a user namespace. Write uid_map and gid_map first, from outside.',
  },
  {
    calls: MAKE,
    codes: ['EPERM'],
    when: wants('user'),
    says: 'A process whose root was changed by chroot may not make a user namespace, nor may anybody where /proc/sys/kernel/unprivileged_userns_clone or AppArmor forbids it. Make it before chroot, or use pivot_root.',
  },
  {
    calls: [...MAKE, 'setns'],
    codes: ['EPERM'],
    when: () => !can('CAP_SYS_ADMIN'),
    says: 'Only CLONE_NEWUSER can be had without CAP_SYS_ADMIN, and this process does not have it. Make a user namespace in the same call, or do it before capabilities are dropped.',
  },
  {
    calls: MAKE,
    codes: ['EINVAL'],
    when: ({ subject }) => !subject.includes('CLONE_'),
    says: 'The flags name no kind of namespace. Join them from CLONE, with |: CLONE.NEWNS | CLONE.NEWUTS.',
  },
  {
    calls: MAKE,
    codes: ['EINVAL'],
    says: 'The kernel does not accept these flags together, or not in a process that has threads: a new user or mount namespace does not go with CLONE_FS, and a thread cannot leave its pid namespace. Leave out what is not needed.',
  },
  {
    calls: ['setns'],
    codes: ['EBADF'],
    says: 'The descriptor is not open: it was closed before it was joined, or never opened. Open /proc/PID/ns/KIND, call setns, and close it afterwards.',
  },
  {
    calls: ['setns'],
    codes: ['EINVAL'],
    when: (failure) => !/^\w+:\[\d+\]$/.test(linkOf(failure)),
    says: (failure) =>
      `The descriptor leads to ${linkOf(failure)}, which is no namespace. Open /proc/PID/ns/KIND.`,
  },
  {
    calls: ['setns'],
    codes: ['EINVAL'],
    when: (failure) =>
      kindsIn(failure).length > 0 && !kindsIn(failure).includes(linkOf(failure).split(':')[0]!),
    says: (failure) =>
      `The descriptor is of ${linkOf(failure)}, and the call asks for a namespace of kind ${kindsIn(failure).join(', ')}. Give the flag that belongs to the descriptor.`,
  },
  {
    calls: ['setns'],
    codes: ['EINVAL'],
    when: (failure) =>
      linkOf(failure).startsWith('user:') && linkOf(failure) === readlinkSync('/proc/self/ns/user'),
    says: 'This process is in that user namespace already, and cannot join it again. Open the namespace of the other process: /proc/PID/ns/user.',
  },
  {
    calls: ['setns'],
    codes: ['EINVAL'],
    when: (failure) => linkOf(failure).startsWith('mnt:'),
    says: 'Root and working directory are shared with other threads, and the kernel does not move one of them alone. Call unshare(CLONE_FS) first, or fork and do it in the child.',
  },
  {
    calls: ['setns'],
    codes: ['EPERM'],
    says: 'The namespace belongs to a user namespace in which this process has no rights. Join that user namespace first: /proc/PID/ns/user.',
  },
  {
    calls: HOSTNAME,
    codes: ['EINVAL'],
    says: ({ paths }) =>
      `A host name has at most 64 bytes; this one has ${Buffer.byteLength(paths[0] ?? '')}. Shorten it: Docker takes the first 12 characters of the id.`,
  },
  {
    calls: HOSTNAME,
    codes: ['EPERM'],
    when: () => can('CAP_SYS_ADMIN') && isForeign('uts'),
    says: 'The UTS namespace belongs to another user namespace, in which this process has no rights. Make one of your own: unshare CLONE_NEWUTS together with CLONE_NEWUSER.',
  },
  {
    calls: HOSTNAME,
    codes: ['EPERM'],
    says: 'To set the host name needs CAP_SYS_ADMIN, and this process does not have it. Set it before capabilities are dropped.',
  },
  {
    calls: ['open'],
    codes: ['ENOENT', 'ESRCH'],
    when: ({ subject }) =>
      /^\/proc\/\d+\//.test(subject) && !isThere(subject.split('/').slice(0, 3).join('/')),
    says: ({ subject }) =>
      `There is no process ${subject.split('/')[2]} in this /proc: it has ended, or the number is that of another pid namespace, or /proc is another one since the mount namespace was joined. Open everything before the first setns.`,
  },
  {
    calls: ['open', 'read', 'scandir', 'readlink'],
    codes: ['ENOENT'],
    when: ({ subject }) => subject.startsWith('/proc/') && !isThere('/proc/self'),
    says: 'No proc is mounted at /proc in this root. Mount one after the root was changed: type proc, on /proc, by a process in the new pid namespace.',
  },
  {
    calls: ['setresuid', 'setresgid', 'setuid', 'setgid', 'setgroups'],
    codes: ['EINVAL'],
    when: inUserNamespace,
    says: ({ call, subject }) =>
      `The id ${subject} is not in the ${call.includes('uid') ? 'uid_map' : 'gid_map'} of this user namespace (${textOf(`/proc/self/${call.includes('uid') ? 'uid_map' : 'gid_map'}`).replace(/\s+/g, ' ') || 'nothing is mapped'}). Map it, or write the map before you change ids.`,
  },
];
