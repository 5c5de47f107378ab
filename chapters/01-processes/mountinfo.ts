import { readFileSync } from 'node:fs';
import { isErrno } from './errors.ts';
import { ifAlive, type Pid } from './proc.ts';

/** One mount, as a process sees it. Source: proc_pid_mountinfo(5). */
export interface MountInfo {
  id: number;
  /** The mount that this one is mounted on. */
  parent: number;
  /** `major:minor` of the file system's device. */
  device: string;
  /** Which folder of the file system is the top of this mount: not `/` for bind mounts and for cgroup namespaces. */
  root: string;
  /** Where it is, from the process's root. */
  mountPoint: string;
  /** Options of this mount: `['rw', 'nosuid']`. */
  options: string[];
  /** Propagation: `shared:N`, `master:N`, `unbindable`; none is a private mount. */
  propagation: string[];
  type: string;
  source: string;
  /** Options of the file system, whichever mounts show it: `['rw', 'lowerdir=…']`. */
  superOptions: string[];
}

/**
 * The mounts in a process's mount namespace that can be reached from its root, oldest first; `undefined` when it is gone, or a zombie:
 * that has left its namespaces, and the kernel says EINVAL.
 */
export function readMountinfo(pid: Pid = 'self'): MountInfo[] | undefined {
  try {
    const text = ifAlive(() => readFileSync(`/proc/${pid}/mountinfo`, 'utf8'));
    return text?.split('\n').filter(Boolean).map(parseMountinfoLine);
  } catch (error) {
    if (isErrno(error, 'EINVAL')) return undefined;
    throw error;
  }
}

/** Takes one line apart: a dash ends the optional fields, of which there may be none or several. */
export function parseMountinfoLine(line: string): MountInfo {
  const words = line.split(' ');
  const dash = words.indexOf('-', 6);
  const [id, parent, device, root, mountPoint, options] = words;
  const [type, source, superOptions] = words.slice(dash + 1);
  return {
    id: Number(id),
    parent: Number(parent),
    device: device!,
    root: unescape(root!),
    mountPoint: unescape(mountPoint!),
    options: options!.split(','),
    propagation: words.slice(6, dash),
    type: unescape(type!),
    source: unescape(source!),
    superOptions: (superOptions ?? '').split(',').map(unescape),
  };
}

/** Space, tab, newline, backslash and hash stand as octal numbers: `\040`. */
const unescape = (word: string): string =>
  word.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
