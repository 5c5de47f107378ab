import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Failure, Rule } from './coach-rule.ts';
import { firstMissing, inUserNamespace, isDirectory, mountOf, textOf } from './coach-machine.ts';

// Files and folders of cgroups. A write's subject is `"value" to "file"`, or the file alone.

const fileOf = ({ paths }: Failure): string => paths.at(-1)!;
const folderOf = (failure: Failure): string => dirname(fileOf(failure));
const valueOf = ({ paths }: Failure): string => (paths.length > 1 ? paths[0]! : '');
const WRITE = ['write', 'open'];

/** Whether the path is in a tree of cgroups; what is missing there is taken for its parent. */
function inCgroups(failure: Failure): boolean {
  let path = fileOf(failure);
  if (!path.startsWith('/')) return false;
  while (!existsSync(path)) path = dirname(path);
  return mountOf(path).type.startsWith('cgroup');
}
const isFile =
  (...names: string[]) =>
  (failure: Failure): boolean =>
    inCgroups(failure) && names.includes(basename(fileOf(failure)));
const pidsOf = (folder: string): string[] => textOf(join(folder, 'cgroup.procs')).split('\n').filter(Boolean);
const below = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
const controllerOf = (failure: Failure): string => basename(fileOf(failure)).split('.')[0]!;
const isV2 = (folder: string): boolean => mountOf(folder).type === 'cgroup2';

export const cgroupRules: readonly Rule[] = [
  {
    calls: ['rmdir'],
    codes: ['EBUSY', 'ENOTEMPTY'],
    when: (failure) => inCgroups(failure) && below(fileOf(failure)).length > 0,
    says: (failure) =>
      `There are cgroups below it: ${below(fileOf(failure)).join(', ')}. Remove those first, the deepest first.`,
  },
  {
    calls: ['rmdir'],
    codes: ['EBUSY'],
    when: (failure) => inCgroups(failure) && pidsOf(fileOf(failure)).length > 0,
    says: (failure) =>
      `Processes are still in the cgroup: ${pidsOf(fileOf(failure)).join(', ')}. End them and wait for them, or move them elsewhere; then remove it.`,
  },
  {
    calls: ['rmdir', 'unlink', 'rm'],
    codes: ['ENOTDIR', 'EPERM', 'ENOTEMPTY'],
    when: inCgroups,
    says: 'The files of a cgroup can not be deleted one by one: they are the kernel’s. Remove the folder alone, with rmdir, not recursively; its files go with it.',
  },
  {
    calls: ['mkdir'],
    codes: ['ENOENT'],
    when: inCgroups,
    says: (failure) =>
      `The cgroup above it does not exist: ${firstMissing(fileOf(failure))} is missing. Make cgroups from the top down.`,
  },
  {
    calls: ['mkdir'],
    codes: ['EEXIST'],
    when: inCgroups,
    says: 'There is a cgroup of this name already, perhaps left by an earlier attempt. Use it, take another name, or remove it with rmdir.',
  },
  {
    calls: [...WRITE, 'mkdir'],
    codes: ['EACCES', 'EPERM', 'EROFS'],
    when: (failure) => inCgroups(failure) && mountOf(firstPart(fileOf(failure))).options.includes('ro'),
    says: 'This tree of cgroups is mounted read-only here. Remount it read-write, or work where the host mounts it.',
  },
  {
    calls: WRITE,
    codes: ['ENOENT', 'EACCES', 'EPERM'],
    when: (failure) => inCgroups(failure) && !existsSync(folderOf(failure)),
    says: (failure) => `The cgroup ${folderOf(failure)} does not exist. Make it first: mkdir.`,
  },
  {
    calls: WRITE,
    codes: ['ENOENT', 'EACCES', 'EPERM'],
    when: (failure) => inCgroups(failure) && !existsSync(fileOf(failure)) && isV2(folderOf(failure)),
    says: (failure) =>
      `There is no ${basename(fileOf(failure))} in this cgroup: the controller ${controllerOf(failure)} is not switched on for it. Write "+${controllerOf(failure)}" to cgroup.subtree_control of the cgroup above (it has: ${textOf(join(folderOf(failure), '..', 'cgroup.controllers')) || 'none'}).`,
  },
  {
    calls: WRITE,
    codes: ['ENOENT', 'EACCES', 'EPERM'],
    when: (failure) => inCgroups(failure) && !existsSync(fileOf(failure)),
    says: (failure) =>
      `There is no ${basename(fileOf(failure))} in this tree: it has the controllers ${mountOf(folderOf(failure)).superOptions.slice(1).join(', ')}, and in v1 each has a tree of its own. Write it in the tree of ${controllerOf(failure)}; names differ between v1 and v2.`,
  },
  {
    calls: WRITE,
    codes: ['ENOENT'],
    when: isFile('cgroup.subtree_control'),
    says: (failure) =>
      `The cgroup does not have that controller itself: its cgroup.controllers says "${textOf(join(folderOf(failure), 'cgroup.controllers'))}". Switch it on from the top of the tree down, in each cgroup.subtree_control on the way.`,
  },
  {
    calls: WRITE,
    codes: ['EINVAL'],
    when: isFile('cgroup.subtree_control'),
    says: 'That is no controller that this kernel knows. Write names from cgroup.controllers, each with + or - before it: "+memory +pids".',
  },
  {
    calls: WRITE,
    codes: ['EBUSY'],
    when: (failure) => isFile('cgroup.subtree_control')(failure) && pidsOf(folderOf(failure)).length > 0,
    says: (failure) =>
      `Processes are in this cgroup (${pidsOf(folderOf(failure)).join(', ')}), and a cgroup of v2 may not have both processes and controllers for its children. Move them into a child cgroup first.`,
  },
  {
    calls: WRITE,
    codes: ['EBUSY'],
    when: (failure) =>
      isFile('cgroup.procs')(failure) && textOf(join(folderOf(failure), 'cgroup.subtree_control')) !== '',
    says: (failure) =>
      `This cgroup gives its children controllers (${textOf(join(folderOf(failure), 'cgroup.subtree_control'))}), so in v2 it may have no processes itself. Join a cgroup below it.`,
  },
  {
    calls: WRITE,
    codes: ['ENOTSUP'],
    when: (failure) => /domain invalid|threaded/.test(textOf(join(folderOf(failure), 'cgroup.type'))),
    says: (failure) =>
      `The cgroup's type is "${textOf(join(folderOf(failure), 'cgroup.type'))}": it stands below a threaded one and takes no processes. Use a cgroup outside that tree, or write "threaded" to its cgroup.type and add threads.`,
  },
  {
    calls: WRITE,
    codes: ['ESRCH'],
    when: isFile('cgroup.procs', 'tasks', 'cgroup.threads'),
    says: (failure) =>
      `There is no process ${valueOf(failure)} that the kernel could move: it has ended, or the number is that of another pid namespace. In a forked child process.pid is the parent's: ask getpid, or write 0 for "myself".`,
  },
  {
    calls: WRITE,
    codes: ['ENOSPC'],
    when: isFile('cgroup.procs', 'tasks'),
    says: 'The cgroup has no processors or memory nodes yet: a new cpuset of v1 is empty. Copy cpuset.cpus and cpuset.mems from the cgroup above before anybody joins.',
  },
  {
    calls: WRITE,
    codes: ['EINVAL'],
    when: isFile('cgroup.procs', 'tasks', 'cgroup.threads'),
    says: 'cgroup.procs takes one process number in one write(2), and the kernel moves no thread of its own. Write the numbers one by one.',
  },
  {
    calls: WRITE,
    codes: ['EBUSY'],
    when: isFile('memory.limit_in_bytes'),
    says: 'More memory is in use than the new limit allows, and the kernel cannot give it back. Set the limit before processes join, or end some.',
  },
  {
    calls: WRITE,
    codes: ['EINVAL', 'ERANGE', 'EIO'],
    when: inCgroups,
    says: (failure) =>
      `${basename(fileOf(failure))} does not take the value ${JSON.stringify(valueOf(failure))}: look at the form in the kernel's cgroup documentation (v1 says -1 for "no limit" where v2 says max), and a cgroup may not be given more than the one above it has.`,
  },
  {
    calls: [...WRITE, 'mkdir'],
    codes: ['EACCES', 'EPERM'],
    when: (failure) => inCgroups(failure),
    says: () =>
      `This process may not change that cgroup${inUserNamespace() ? ': in a user namespace only what was given to it (delegated, by chown) can be changed' : ''}. Be root, or have the folder and its cgroup.procs given to this user.`,
  },
];

function firstPart(path: string): string {
  let part = path;
  while (!isDirectory(part)) part = dirname(part);
  return part;
}
