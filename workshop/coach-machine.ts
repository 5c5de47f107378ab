import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  statSync,
} from 'node:fs';
import { dirname } from 'node:path';
import {
  CAPABILITIES,
  declare,
  ifAlive,
  listPids,
  readMountinfo,
  readStatus,
  type Capability,
  type MountInfo,
} from '../chapters/01-processes/index.ts';

// The state of the machine, as the process that asks sees it.

/** A file's text, or nothing. */
export function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}

export const isThere = (path: string | undefined): boolean => path !== undefined && existsSync(path);

export const isDirectory = (path: string | undefined): boolean =>
  path !== undefined && (statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false);

export const isFile = (path: string | undefined): boolean => isThere(path) && !isDirectory(path);

/** The first part of a path that is missing. */
export function firstMissing(path: string): string {
  let missing = path;
  while (dirname(missing) !== missing && !existsSync(dirname(missing))) missing = dirname(missing);
  return missing;
}

/** Whether this process has a capability, in its own user namespace. */
export function can(name: Capability): boolean {
  const effective = readStatus('self')!.capabilities.effective;
  return (effective & (1n << BigInt(CAPABILITIES[name].number))) !== 0n;
}

export const threads = (): number => readStatus('self')!.threads;

/** Whether the user namespace is not the machine's own. */
export const inUserNamespace = (): boolean =>
  textOf('/proc/self/uid_map').replace(/\s+/g, ' ') !== '0 0 4294967295';

const c_ioctl = declare<(fd: number, request: number) => number>('int ioctl(int fd, unsigned long op)');
/** Source: ioctl_ns(2). */
const NS_GET_USERNS = 0xb701;

/** Whether a namespace of this process belongs to another user namespace than the one it is in: then its capabilities do not count. */
export function isForeign(kind: string): boolean {
  const fd = openSync(`/proc/self/ns/${kind}`, 'r');
  try {
    const owner = c_ioctl(fd, NS_GET_USERNS);
    if (owner === -1) return true; // EPERM: it lies outside
    try {
      return fstatSync(owner).ino !== statSync('/proc/self/ns/user').ino;
    } finally {
      closeSync(owner);
    }
  } finally {
    closeSync(fd);
  }
}

/** The mount that is mounted at a path; the topmost, where there are several. */
export function mountAt(path: string): MountInfo | undefined {
  const real = realpathSync(path);
  return mounts().findLast((one) => one.mountPoint === real);
}

/** The mount that a path lies on. */
export function mountOf(path: string): MountInfo {
  const real = realpathSync(path);
  const above = mounts().filter(
    ({ mountPoint }) => mountPoint === '/' || real === mountPoint || `${real}/`.startsWith(`${mountPoint}/`),
  );
  const longest = Math.max(...above.map((one) => one.mountPoint.length));
  return above.findLast((one) => one.mountPoint.length === longest)!;
}

export const mounts = (): MountInfo[] => readMountinfo('self') ?? [];

export const isShared = (mount: MountInfo | undefined): boolean =>
  mount?.propagation.some((word) => word.startsWith('shared:')) ?? false;

/** The processes that have something below a path open, or as their working directory or root. */
export function usersOf(path: string): number[] {
  const real = realpathSync(path);
  const within = (link: string): boolean => {
    try {
      return `${readlinkSync(link)}/`.startsWith(`${real}/`);
    } catch {
      return false;
    }
  };
  return listPids().filter((pid) => {
    const fds = ifAlive(() => readLinks(pid)) ?? [];
    return [`/proc/${pid}/cwd`, `/proc/${pid}/root`, ...fds].some(within);
  });
}

function readLinks(pid: number): string[] {
  try {
    return readdir(`/proc/${pid}/fd`);
  } catch {
    return [];
  }
}

const readdir = (folder: string): string[] => readdirSync(folder).map((name) => `${folder}/${name}`);
