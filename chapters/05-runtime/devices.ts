import { chmodSync, chownSync, closeSync, constants, fstatSync, symlinkSync, unlinkSync } from 'node:fs';
import { posix } from 'node:path';
import { checked, ifAlive, isErrno } from '../01-processes/index.ts';
import { fdPath, mkdirAllInRoot, O_PATH, openInRoot, openTree, touchInRoot } from '../02-namespaces/index.ts';
import { attach, using } from './attach.ts';
import type { OciDevice } from './spec.ts';
import { c_mknodat } from './syscalls.ts';

/** What every container has. Source: config-linux.md, "Default Devices". */
const DEFAULT_DEVICES: readonly OciDevice[] = [
  { path: '/dev/null', type: 'c', major: 1, minor: 3, fileMode: 0o666 },
  { path: '/dev/zero', type: 'c', major: 1, minor: 5, fileMode: 0o666 },
  { path: '/dev/full', type: 'c', major: 1, minor: 7, fileMode: 0o666 },
  { path: '/dev/random', type: 'c', major: 1, minor: 8, fileMode: 0o666 },
  { path: '/dev/urandom', type: 'c', major: 1, minor: 9, fileMode: 0o666 },
  { path: '/dev/tty', type: 'c', major: 5, minor: 0, fileMode: 0o666 },
];

/** Links that programs expect. Source: config-linux.md, "Dev symbolic links" (runtime-linux.md). */
const LINKS: readonly (readonly [string, string])[] = [
  ['/proc/self/fd', 'fd'],
  ['/proc/self/fd/0', 'stdin'],
  ['/proc/self/fd/1', 'stdout'],
  ['/proc/self/fd/2', 'stderr'],
  ['pts/ptmx', 'ptmx'],
];

const TYPE_BITS = { c: 0o020000, u: 0o020000, b: 0o060000, p: 0o010000 } as const;

/**
 * Makes the default devices and those of config.json below the root. In a user namespace mknod(2) is forbidden to everyone: there
 * the host's own device is bound.
 * @param bind whether to bind instead of making
 * @throws SyscallError; Error naming the device
 */
export function makeDevices(rootFd: number, extra: readonly OciDevice[], bind: boolean): void {
  const devices = new Map([...DEFAULT_DEVICES, ...extra].map((device) => [device.path, device]));
  const umask = process.umask(0);
  try {
    for (const device of devices.values())
      if (bind) bindDevice(rootFd, device);
      else makeDevice(rootFd, device);
  } finally {
    process.umask(umask);
  }
}

function makeDevice(
  rootFd: number,
  { path, type, major = 0, minor = 0, fileMode = 0o666, uid = 0, gid = 0 }: OciDevice,
): void {
  const { dir, base } = posix.parse(posix.normalize(path));
  using(mkdirAllInRoot(rootFd, dir), (parent) => {
    const mode = TYPE_BITS[type] | (fileMode & 0o7777);
    try {
      checked('mknod', c_mknodat(parent, base, mode, makedev(major, minor)), JSON.stringify(path));
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
    }
    // Made or found: from here on it is this one file, whoever renames it.
    using(openInRoot(parent, base, { flags: O_PATH | constants.O_NOFOLLOW }), (device) => {
      const found = fstatSync(device);
      const same =
        (found.mode & 0o170000) === TYPE_BITS[type] && (type === 'p' || found.rdev === makedev(major, minor));
      if (!same) throw new Error(`device ${path}: the image has something else of that name`);
      chmodSync(fdPath(device), fileMode & 0o7777);
      chownSync(fdPath(device), uid, gid);
    });
  });
}

function bindDevice(rootFd: number, { path }: OciDevice): void {
  using(touchInRoot(rootFd, path), (target) => using(openTree(path), (device) => attach(device, target)));
}

/** The number of a device as stat(2) gives it. Source: makedev(3). */
export function makedev(major: number, minor: number): number {
  const low = ((major & 0xfff) << 8) | (minor & 0xff);
  const high = (minor & ~0xff) * 2 ** 12 + (major & ~0xfff) * 2 ** 32;
  return low + high;
}

/** Makes /dev/fd, /dev/stdin and the rest. What the image has of these names stays, but for /dev/ptmx. */
export function linkDevices(rootFd: number): void {
  const dev = mkdirAllInRoot(rootFd, '/dev');
  try {
    for (const [target, name] of LINKS) {
      if (name === 'ptmx') ifAlive(() => unlinkSync(fdPath(dev, name)));
      try {
        symlinkSync(target, fdPath(dev, name));
      } catch (error) {
        if (!isErrno(error, 'EEXIST')) throw error;
      }
    }
  } finally {
    closeSync(dev);
  }
}
