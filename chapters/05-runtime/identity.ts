import { constants, fchownSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import {
  CAPABILITIES,
  checked,
  clearAmbient,
  inBounding,
  isErrno,
  knownCapabilities,
  parseCapability,
  PR,
  prctl,
  raiseAmbient,
  readCapabilities,
  setCapabilities,
  SyscallError,
  type Capability,
} from '../01-processes/index.ts';
import { O_PATH, openInRoot } from '../02-namespaces/index.ts';
import { using } from './attach.ts';
import { makedev } from './devices.ts';
import type { OciCapabilities, OciProcess, OciUser } from './spec.ts';
import { c_setgroups, c_setresgid, c_setresuid, c_setrlimit } from './syscalls.ts';

/** Numbers of setrlimit(2)'s resources, on x86-64 and arm64. */
const RLIMITS: Readonly<Record<string, number>> = {
  RLIMIT_CPU: 0, RLIMIT_FSIZE: 1, RLIMIT_DATA: 2, RLIMIT_STACK: 3, RLIMIT_CORE: 4, RLIMIT_RSS: 5, RLIMIT_NPROC: 6, RLIMIT_NOFILE: 7,
  RLIMIT_MEMLOCK: 8, RLIMIT_AS: 9, RLIMIT_LOCKS: 10, RLIMIT_SIGPENDING: 11, RLIMIT_MSGQUEUE: 12, RLIMIT_NICE: 13, RLIMIT_RTPRIO: 14,
  RLIMIT_RTTIME: 15,
}; // prettier-ignore

const RLIM_INFINITY = 2n ** 64n - 1n;
/** Above this a JSON number is no longer exact, and only one such limit is in use: infinity. */
const toLimit = (value: number): bigint => (value >= 2 ** 63 ? RLIM_INFINITY : BigInt(value));

/** @throws Error naming a limit that does not exist, or one that may not be raised */
export function setRlimits(rlimits: OciProcess['rlimits']): void {
  for (const { type, soft, hard } of rlimits ?? []) {
    const resource = rlimitNumber(type);
    try {
      checked('setrlimit', c_setrlimit(resource, new BigUint64Array([toLimit(soft), toLimit(hard)])), type);
    } catch (cause) {
      const why = isErrno(cause, 'EPERM')
        ? ': raising a hard limit needs CAP_SYS_RESOURCE, which this process lacks'
        : '';
      throw new Error(`process.rlimits: ${type} to ${soft}:${hard}${why}`, { cause });
    }
  }
}

/** @throws Error that lists what exists */
export function rlimitNumber(type: string): number {
  const resource = Object.hasOwn(RLIMITS, type) ? RLIMITS[type] : undefined;
  if (resource === undefined)
    throw new Error(
      `process.rlimits: unknown limit ${JSON.stringify(type)}; known are ${Object.keys(RLIMITS).join(', ')}`,
    );
  return resource;
}

const NULL_DEVICE = makedev(1, 3);

/** Lets the container's user own its standard streams, so that it may open /dev/stdout. */
export function ownStdio(uid: number): void {
  for (const fd of [0, 1, 2])
    try {
      const stat = fstatSync(fd);
      if (stat.uid !== uid && stat.rdev !== NULL_DEVICE) fchownSync(fd, uid, stat.gid);
    } catch (error) {
      // Some streams have no owner that could be changed: sockets, read-only files, ids that are not mapped.
      if (!isErrno(error, 'EINVAL', 'EPERM', 'EROFS', 'EBADF')) throw error;
    }
}

/** What a process may do once `become` has run; names as in config.json, read before anything is made. */
export interface Identity {
  user: OciUser;
  capabilities: Record<keyof OciCapabilities, Capability[]>;
  /** What the kernel knows; asked early, because the container may have no /proc. */
  known: Capability[];
}

/** Reads user and capabilities. @throws RangeError for a name that is no capability */
export function readIdentity({ user, capabilities }: OciProcess): Identity {
  // What is newer than the kernel cannot be had and is not asked for, as runc has it.
  const known = knownCapabilities();
  const names = (set: keyof OciCapabilities): Capability[] =>
    (capabilities?.[set] ?? []).map(parseCapability).filter((name) => known.includes(name));
  return {
    user: user ?? { uid: 0, gid: 0 },
    capabilities: {
      bounding: names('bounding'),
      effective: names('effective'),
      inheritable: names('inheritable'),
      permitted: names('permitted'),
      ambient: names('ambient'),
    },
    known,
  };
}

/**
 * Nobody can give what he lacks. To be asked before anything is made; not for a new user namespace, whose first process has all.
 * @throws Error naming the capabilities that this runtime itself does not have
 */
export function checkCapabilities({ capabilities }: Identity): void {
  const own = readCapabilities()?.permitted ?? [];
  const lacking = capabilities.permitted.filter((name) => !own.includes(name));
  if (lacking.length > 0)
    throw new Error(
      `process.capabilities: unable to apply caps: this runtime lacks ${lacking.join(', ')} itself, and cannot give it`,
    );
}

/**
 * Becomes the user of config.json with the capabilities of config.json, and nothing more. The order matters: each step takes away
 * something that an earlier one needs.
 * Source: capabilities(7), setresuid(2), runc's finalizeNamespace.
 * @throws SyscallError EPERM for a capability that this process lacks
 */
export function become({ user, capabilities, known }: Identity): void {
  //#gap 05.3 become
  for (const name of known)
    // needs CAP_SETPCAP
    if (!capabilities.bounding.includes(name) && inBounding(name))
      prctl(PR.CAPBSET_DROP, CAPABILITIES[name].number);
  prctl(PR.SET_KEEPCAPS, 1); // else the change of user empties the permitted set
  setGroups(user);
  checked('setresgid', c_setresgid(user.gid, user.gid, user.gid), String(user.gid));
  checked('setresuid', c_setresuid(user.uid, user.uid, user.uid), String(user.uid));
  prctl(PR.SET_KEEPCAPS, 0);
  setCapabilities(capabilities);
  clearAmbient();
  for (const name of capabilities.ambient) raiseOrSkip(name); // must be permitted and inheritable
  process.umask(user.umask ?? 0o022);
  //#end
}

function setGroups({ additionalGids = [] }: OciUser): void {
  try {
    checked('setgroups', c_setgroups(additionalGids.length, new Uint32Array(additionalGids)));
  } catch (error) {
    // In a user namespace made without rights nobody may change groups, not even to none.
    const denied = readFileSync('/proc/self/setgroups', 'utf8').trim() === 'deny';
    if (!denied || additionalGids.length > 0) throw error;
  }
}

/** runc leaves out an ambient capability that is not inheritable, without a word; containers rely on it. */
function raiseOrSkip(name: Capability): void {
  try {
    raiseAmbient(name);
  } catch (error) {
    if (!(error instanceof SyscallError && error.code === 'EPERM')) throw error;
  }
}

/** More of an /etc/passwd is not read. */
const PASSWD_BYTES = 1024 * 1024;

/** The home directory of a user by the image's own /etc/passwd; `/` where it says nothing. The process is in the container's root. */
export function homeDirectory(uid: number): string {
  try {
    const lines = readImageFile('/etc/passwd').split('\n');
    const entry = lines.map((line) => line.split(':')).find((fields) => fields[2] === String(uid));
    return entry?.[5] || '/';
  } catch {
    return '/';
  }
}

/**
 * The image may have a fifo in the file's place, which would hold this runtime up for ever, or a link to /dev/zero, which has no end, or
 * one to /proc/self/fd/N: so only a regular file is read, reached by ordinary links, and only its beginning.
 */
function readImageFile(path: string): string {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK;
  return using(openSync('/', O_PATH), (root) =>
    using(openInRoot(root, path, { flags }), (fd) => {
      if (!fstatSync(fd).isFile()) throw new Error(`${path} is no file`);
      const text = Buffer.alloc(Math.min(fstatSync(fd).size, PASSWD_BYTES));
      return text.subarray(0, readSync(fd, text)).toString();
    }),
  );
}
