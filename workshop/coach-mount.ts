import type { Rule } from './coach-rule.ts';
import {
  can,
  firstMissing,
  inUserNamespace,
  isDirectory,
  isFile,
  isForeign,
  isThere,
  mountAt,
  mountOf,
  mounts,
  textOf,
  usersOf,
} from './coach-machine.ts';

// mount(2), umount2(2) and the overlay file system. The subject of mount is `"source" on "target"`.

const MOUNT = ['mount'];
const UMOUNT = ['umount2'];

const isKnown = (type: string): boolean =>
  textOf('/proc/filesystems')
    .split('\n')
    .some((line) => line.split('\t').at(-1) === type);

export const mountRules: readonly Rule[] = [
  {
    calls: [...MOUNT, ...UMOUNT],
    codes: ['EPERM'],
    when: () => !can('CAP_SYS_ADMIN'),
    says: 'Mounting and unmounting need CAP_SYS_ADMIN, and this process does not have it. Do it before capabilities are dropped or the user is changed.',
  },
  {
    calls: [...MOUNT, ...UMOUNT],
    codes: ['EPERM'],
    when: () => isForeign('mnt'),
    says: 'The mount namespace belongs to another user namespace, in which this process has no rights. Make a mount namespace too: unshare CLONE_NEWNS together with CLONE_NEWUSER.',
  },
  {
    calls: MOUNT,
    codes: ['EPERM'],
    when: ({ paths }) => inUserNamespace() && ['proc', 'sysfs'].includes(paths[0]!),
    says: ({ paths }) =>
      `In a user namespace ${paths[0]} can be mounted only where the ${paths[0] === 'proc' ? 'pid' : 'network'} namespace belongs to it as well, and an unhidden ${paths[0]} is in sight. Make that namespace together with the user namespace.`,
  },
  {
    calls: MOUNT,
    codes: ['EPERM'],
    when: inUserNamespace,
    says: 'In a user namespace only a few file systems may be mounted (tmpfs, overlay, bind mounts …), and options that were locked by the host (nosuid, nodev, ro) must be kept. Keep them, or mount it from outside.',
  },
  {
    calls: MOUNT,
    codes: ['ENOENT'],
    when: ({ paths }) => !isThere(paths[1]),
    says: ({ paths }) =>
      `The mount point does not exist: ${firstMissing(paths[1]!)} is missing. Make the directory first (mkdir), in the root that this process sees.`,
  },
  {
    calls: MOUNT,
    codes: ['ENOENT'],
    when: ({ paths }) => paths[0]!.startsWith('/') && !isThere(paths[0]),
    says: ({ paths }) =>
      `The source of the mount does not exist: ${firstMissing(paths[0]!)} is missing. Make it first, and mind which root this process is in.`,
  },
  {
    calls: MOUNT,
    codes: ['ENOENT'],
    when: ({ paths }) => paths[0] === 'overlay',
    says: 'One of the directories in the options of the overlay does not exist. Make every lowerdir, the upperdir and the workdir before you mount.',
  },
  {
    calls: MOUNT,
    codes: ['ENOTDIR'],
    when: ({ paths }) => isDirectory(paths[0]) && isFile(paths[1]),
    says: 'The source is a directory and the mount point is a file. Bind a directory onto a directory, a file onto a file.',
  },
  {
    calls: MOUNT,
    codes: ['ENOTDIR'],
    when: ({ paths }) => isFile(paths[0]) && isDirectory(paths[1]),
    says: 'The source is a file and the mount point is a directory. Make an empty file, and bind the file onto that.',
  },
  {
    calls: MOUNT,
    codes: ['ENOTDIR'],
    when: ({ paths }) => isFile(paths[1]),
    says: 'The mount point is a file, and a whole file system can be mounted only on a directory. Make a directory for it.',
  },
  {
    calls: MOUNT,
    codes: ['ENODEV'],
    when: ({ paths }) => !isKnown(paths[0]!),
    says: ({ paths }) =>
      `The kernel knows no file system of this type (the source is ${JSON.stringify(paths[0])}). Look at /proc/filesystems for the names; a module may have to be loaded: modprobe.`,
  },
  {
    calls: MOUNT,
    codes: ['ENOTBLK', 'errno 15'], // a number that Node has no name for
    says: 'This type of file system lies on a block device, and the source is none. To show a directory in a second place, bind it: MS_BIND.',
  },
  {
    calls: MOUNT,
    codes: ['EBUSY'],
    when: ({ paths }) => mountAt(paths[1]!) !== undefined,
    says: ({ paths }) =>
      `The file system is in use: it cannot become read-only while a file in it is open for writing (process ${usersOf(paths[1]!).join(', ') || 'unknown'}). Close it, or make this mount alone read-only: MS_REMOUNT | MS_BIND | MS_RDONLY.`,
  },
  {
    calls: MOUNT,
    codes: ['EINVAL'],
    when: ({ paths }) => paths[0] === 'none' && mountAt(paths[1]!) === undefined,
    says: ({ paths }) =>
      `${paths[1]} is no mount point, and only a mount can be remounted or made private, shared or slave. Bind it onto itself first (MS_BIND).`,
  },
  {
    calls: MOUNT,
    codes: ['EINVAL'],
    when: ({ paths }) => paths[0] === 'overlay',
    says: 'overlay does not accept its options: lowerdir must be there; an upperdir needs a workdir, empty and on the same file system, neither inside the other; and only options that it knows are allowed. The kernel says which: dmesg.',
  },
  {
    calls: MOUNT,
    codes: ['EINVAL'],
    when: ({ paths }) => isDirectory(paths[0]) && mountOf(paths[0]!).propagation.includes('unbindable'),
    says: ({ paths }) =>
      `${paths[0]} lies on a mount that is unbindable, so it cannot be bound elsewhere. Make that mount private first (MS_PRIVATE).`,
  },
  {
    calls: MOUNT,
    codes: ['EINVAL'],
    when: ({ paths }) => isThere(paths[0]) && paths[0]!.startsWith('/'),
    says: 'A path was given as the source, with neither a type nor MS_BIND. To show a directory in a second place, set MS_BIND.',
  },
  {
    calls: MOUNT,
    codes: ['EINVAL'],
    when: ({ paths }) => isKnown(paths[0]!),
    says: ({ paths }) =>
      `${paths[0]} does not know one of its options, or its value. Flags such as nosuid and ro are bits of mountflags and have no place in the data; look at mount(8) for what ${paths[0]} takes.`,
  },
  {
    calls: [...UMOUNT],
    codes: ['ENOENT'],
    says: ({ paths }) =>
      `${firstMissing(paths[0]!)} does not exist, so nothing is mounted there. After pivot_root or chroot paths begin at the new root.`,
  },
  {
    calls: UMOUNT,
    codes: ['EINVAL'],
    when: ({ paths }) => mountAt(paths[0]!) === undefined,
    says: ({ paths }) =>
      `${paths[0]} is no mount point in this mount namespace. It was unmounted already, or mounted in another namespace: look at /proc/self/mountinfo.`,
  },
  {
    calls: UMOUNT,
    codes: ['EINVAL'],
    when: inUserNamespace,
    says: 'This mount came from a more privileged mount namespace and is locked: it hides what lies below. It can be unmounted only together with all that came with it: pivot_root to a new root and detach the old one (MNT_DETACH).',
  },
  {
    calls: UMOUNT,
    codes: ['EBUSY'],
    when: ({ paths }) =>
      mounts().some((one) => one.mountPoint.startsWith(`${mountAt(paths[0]!)!.mountPoint}/`)),
    says: ({ paths }) =>
      `There are mounts below ${paths[0]}. Unmount those first, the deepest first, or take all of them from view with MNT_DETACH.`,
  },
  {
    calls: UMOUNT,
    codes: ['EBUSY'],
    says: ({ paths }) =>
      `The mount is in use: process ${usersOf(paths[0]!).join(', ') || 'unknown'} has a file in it open, or works in it. Close the file or leave the directory first, or detach the mount with MNT_DETACH.`,
  },
];
