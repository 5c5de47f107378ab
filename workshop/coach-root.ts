import { realpathSync } from 'node:fs';
import type { Failure, Rule } from './coach-rule.ts';
import {
  can,
  firstMissing,
  isDirectory,
  isShared,
  isThere,
  mountAt,
  mountOf,
  mounts,
} from './coach-machine.ts';

// pivot_root(2) and chroot(2). The subject of pivot_root is `"new root", old root to "put old"`.

const PIVOT = ['pivot_root'];
const rootMount = () => mounts().findLast((one) => one.mountPoint === '/');
const parentOf = (path: string) => mounts().find((one) => one.id === mountOf(path).parent);
const missing = ({ paths }: Failure): string | undefined => paths.find((path) => !isThere(path));
const noDirectory = ({ paths }: Failure): string | undefined => paths.find((path) => !isDirectory(path));

export const rootRules: readonly Rule[] = [
  {
    calls: PIVOT,
    codes: ['EPERM'],
    when: () => !can('CAP_SYS_ADMIN'),
    says: 'pivot_root needs CAP_SYS_ADMIN in the user namespace of the mount namespace. Change the root before capabilities are dropped.',
  },
  {
    calls: ['chroot'],
    codes: ['EPERM'],
    when: () => !can('CAP_SYS_CHROOT'),
    says: 'chroot needs CAP_SYS_CHROOT, and this process does not have it. Change the root before capabilities are dropped or the user is changed.',
  },
  {
    calls: [...PIVOT, 'chroot'],
    codes: ['ENOENT'],
    when: (failure) => missing(failure) !== undefined,
    says: (failure) =>
      `The new root does not exist as this process sees it: ${firstMissing(missing(failure)!)} is missing. Make it first; after a chdir relative paths begin elsewhere.`,
  },
  {
    calls: [...PIVOT, 'chroot'],
    codes: ['ENOTDIR'],
    when: (failure) => noDirectory(failure) !== undefined,
    says: (failure) =>
      `${noDirectory(failure)} is no directory, and a root must be one. Give the folder in which bin, proc and so on lie.`,
  },
  {
    calls: PIVOT,
    codes: ['EINVAL'],
    when: ({ paths }) =>
      isShared(parentOf(paths[0]!)) || isShared(rootMount()) || isShared(mountOf(paths[1]!)),
    says: 'A mount that takes part is shared: what happens here would reach other mount namespaces, and pivot_root refuses. First make all private in a mount namespace of your own: mount "/" with MS_REC | MS_PRIVATE.',
  },
  {
    calls: PIVOT,
    codes: ['EBUSY', 'EINVAL'],
    when: ({ paths }) => mountAt(paths[0]!) === undefined,
    says: ({ paths }) =>
      `The new root ${paths[0]} is no mount point: pivot_root swaps mounts, not directories. Bind it onto itself first (MS_BIND | MS_REC), and change into it after that.`,
  },
  {
    calls: PIVOT,
    codes: ['EBUSY'],
    when: ({ paths }) => realpathSync(paths[0]!) === '/' || mountOf(paths[1]!).id === rootMount()?.id,
    says: 'The new root, or the place for the old one, lies on the mount that is the root now. The new root must be a mount of its own, and the place for the old root must lie in it.',
  },
  {
    calls: PIVOT,
    codes: ['EINVAL'],
    when: ({ paths }) => !`${realpathSync(paths[1]!)}/`.startsWith(`${realpathSync(paths[0]!)}/`),
    says: ({ paths }) =>
      `The place for the old root, ${paths[1]}, is not at or below the new root ${paths[0]}. Give a directory inside the new root, or "." for both and unmount the old one with MNT_DETACH.`,
  },
];
