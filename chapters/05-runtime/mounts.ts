import { closeSync, fstatSync, readlinkSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import {
  fdPath,
  mkdirAllInRoot,
  mount as mountCall,
  MOUNT_ATTR,
  mountSetattr,
  MS,
  O_PATH,
  openInRoot,
  openInRootIfThere,
  openTree,
  parseMountOptions,
  touchInRoot,
  type ParsedMountOptions,
} from '../02-namespaces/index.ts';
import { isBind, type BindSources } from './bind-sources.ts';
import { mountCgroups, type CgroupPlace } from './cgroup-mounts.ts';
import { copyUp } from './copy-up.ts';
import { attach, using } from './attach.ts';
import { setAttributes } from './mount-attributes.ts';
import { isProcfs } from './procfs.ts';
import type { OciMount } from './spec.ts';

/** What mounting needs to know beside the list of mounts. */
export interface MountContext {
  /** Descriptor (O_PATH) of the root, as it is mounted now. */
  rootFd: number;
  /** Where that is on the host: absolute, without links. */
  rootfs: string;
  /** Directory that relative sources start from. */
  bundle: string;
  /** Where this process is in each cgroup hierarchy of the host. */
  cgroups: readonly CgroupPlace[];
  /** What the runtime has opened to be bound. */
  sources: BindSources;
  /** Whether the container has a cgroup namespace of its own. */
  cgroupNamespace: boolean;
}

/**
 * Mounts everything that config.json lists, in its order, each target looked up inside the root at that moment.
 * Returns what is to be made read-only once everything is in place: later mounts may need a directory in an earlier one.
 * @throws Error naming the mount, with the cause
 */
export function mountAll(mounts: readonly OciMount[], context: MountContext): (() => void)[] {
  const atEnd: (() => void)[] = [];
  for (const [i, mount] of mounts.entries())
    try {
      mountOne(mount, context, context.sources.get(i), atEnd);
    } catch (cause) {
      const what = `${JSON.stringify(mount.source ?? mount.type)} to rootfs at ${JSON.stringify(mount.destination)}`;
      throw new Error(`error mounting ${what}`, { cause });
    }
  return atEnd;
}

function mountOne(
  mount: OciMount,
  context: MountContext,
  opened: number | undefined,
  atEnd: (() => void)[],
): void {
  const options = parseMountOptions(mount.options ?? []);
  if (options.flags & MS.REMOUNT) return remount(mount, options, context);
  if (isBind(mount)) return bind(mount, options, opened, context);
  if (mount.type === 'cgroup' || mount.type === 'cgroup2')
    return mountCgroups(mount.destination, options, context);
  return mountFilesystem(mount, options, context, atEnd);
}

/** proc, sysfs, tmpfs, devpts, mqueue … */
function mountFilesystem(
  { destination, source, type }: OciMount,
  options: ParsedMountOptions,
  { rootFd, rootfs }: MountContext,
  atEnd: (() => void)[],
): void {
  const covers = openInRootIfThere(rootFd, destination);
  if (covers !== undefined) closeSync(covers);
  using(makeMountPoint(rootFd, destination, type), (target) => {
    if (type !== 'proc') refuseInsideProc(target, rootfs);
    const data = type === 'tmpfs' && covers !== undefined ? keepMode(target, options.data) : options.data;
    const readOnlyLater = type === 'tmpfs' && (options.flags & MS.RDONLY) !== 0;
    const flags = options.flags & ~(readOnlyLater ? MS.RDONLY : 0);
    mountCall({ source: source ?? type!, target: fdPath(target), type: type!, flags, data });
    // `target` is what lies below the mount now; what is mounted has to be looked up.
    const mounted = (): number => openInRoot(rootFd, destination);
    if (options.runtime.includes('tmpcopyup')) using(mounted(), (top) => copyUp(target, top));
    for (const propagation of options.propagation)
      using(mounted(), (top) => mountCall({ target: fdPath(top), flags: propagation }));
    if (readOnlyLater)
      atEnd.push(() => using(mounted(), (top) => mountSetattr(fdPath(top), { set: MOUNT_ATTR.RDONLY })));
  });
}

/** /proc and /sys must be plain directories: behind a link, the image would choose where the kernel's files appear. */
function makeMountPoint(rootFd: number, destination: string, type: string | undefined): number {
  const made = mkdirAllInRoot(rootFd, destination);
  if (type !== 'proc' && type !== 'sysfs') return made;
  try {
    return using(made, () => openInRoot(rootFd, destination, { flags: O_PATH, noSymlinks: true }));
  } catch (cause) {
    throw new Error(`${destination} must be mounted on ordinary directory`, { cause });
  }
}

/** A tmpfs takes the mode of the directory that it covers, unless its options say one. */
function keepMode(target: number, data: string): string {
  if (/(^|,)mode=/.test(data)) return data;
  const mode = `mode=${(fstatSync(target).mode & 0o7777).toString(8)}`;
  return data === '' ? mode : `${data},${mode}`;
}

/**
 * A bind mount: a copy of the mount at `source` is made and given its attributes while it hangs nowhere, and only then attached. So there
 * is no moment in which it is visible with too many rights. Source: open_tree(2), mount_setattr(2), move_mount(2).
 */
function bind(
  { destination, source }: OciMount,
  options: ParsedMountOptions,
  opened: number | undefined,
  { rootFd, rootfs, bundle }: MountContext,
): void {
  const from = opened === undefined ? resolve(bundle, source!) : fdPath(opened);
  const isDirectory = statSync(from).isDirectory();
  using(isDirectory ? mkdirAllInRoot(rootFd, destination) : touchInRoot(rootFd, destination), (target) => {
    using(opened ?? openTree(from, { recursive: (options.flags & MS.REC) !== 0 }), (tree) => {
      refuseInsideProc(target, rootfs, tree);
      setAttributes(tree, options);
      attach(tree, target);
    });
  });
}

function remount({ destination }: OciMount, options: ParsedMountOptions, { rootFd }: MountContext): void {
  using(openInRoot(rootFd, destination), (target) =>
    mountCall({ target: fdPath(target), flags: options.flags, data: options.data }),
  );
}

/** Files of /proc that may be covered: they tell how large the machine is, and nobody trusts them. */
const COVERABLE = [
  'cpuinfo', 'diskstats', 'loadavg', 'meminfo', 'net/dev', 'slabinfo', 'stat', 'swaps', 'uptime', 'version',
  'sys/kernel/ns_last_pid', 'sys/crypto/fips_enabled',
]; // prettier-ignore

/**
 * Over /proc nothing is mounted that the image could have put there, because what this runtime writes there must reach the kernel
 * (CVE-2019-16884, CVE-2019-19921). Another procfs may be bound onto /proc itself.
 */
function refuseInsideProc(target: number, rootfs: string, source?: number): void {
  const inside = readlinkSync(fdPath(target)).slice(rootfs.length);
  if (inside === '/proc' && source !== undefined && isProcfs(source)) return;
  if (inside !== '/proc' && !inside.startsWith('/proc/')) return;
  if (COVERABLE.includes(inside.slice('/proc/'.length))) return;
  throw new Error(`${JSON.stringify(inside)} cannot be mounted because it is inside /proc`);
}
