import { CAPABILITIES, type Capability } from './capability-names.ts';
import { maskOf, namesOf } from './capabilities.ts';
import { checked, isErrno } from './errors.ts';
import { c_getxattr, c_setxattr } from './syscalls.ts';

/** What a program file brings along when it is executed. Source: "File capabilities" in capabilities(7). */
export interface FileCapabilities {
  /** Given to whoever executes it, as far as the bounding set allows. */
  permitted: readonly Capability[];
  /** Given to who has them inheritable. */
  inheritable: readonly Capability[];
  /** One bit: what it gets is effective at once. For programs that know nothing of capabilities. */
  effective: boolean;
}

const ATTRIBUTE = 'security.capability';

// struct vfs_cap_data in linux/capability.h, little endian on every processor: a word of version and flag, then permitted and
// inheritable, low words before high ones; since version 3 the user that is root in the namespace where the file counts.
const VERSION_MASK = 0xff000000;
const VERSION_1 = 0x01000000;
const VERSION_2 = 0x02000000;
const VERSION_3 = 0x03000000;
const EFFECTIVE = 1;

/**
 * The capabilities of a program file; `undefined` if it has none. What is set from within a user namespace (version 3) is
 * read without its owner: it counts there alone.
 * @throws SyscallError ENOENT, EACCES; Error for an attribute of an unknown version
 */
export function readFileCapabilities(path: string): FileCapabilities | undefined {
  const bytes = Buffer.alloc(64);
  try {
    const subject = `${ATTRIBUTE} of ${JSON.stringify(path)}`;
    const length = checked('getxattr', c_getxattr(path, ATTRIBUTE, bytes, bytes.length), subject);
    return parseFileCapabilities(bytes.subarray(0, length));
  } catch (error) {
    if (isErrno(error, 'ENODATA', 'ENOTSUP')) return undefined;
    throw error;
  }
}

/** Takes the attribute's bytes apart. @throws Error for what no kernel has written */
export function parseFileCapabilities(bytes: Buffer): FileCapabilities {
  const head = bytes.length >= 4 ? bytes.readUInt32LE(0) : 0;
  const version = (head & VERSION_MASK) >>> 0;
  const size = { [VERSION_1]: 12, [VERSION_2]: 20, [VERSION_3]: 24 }[version];
  if (bytes.length !== size) throw new Error(`${ATTRIBUTE}: ${bytes.toString('hex')} is of no known version`);
  const word = (index: number): bigint =>
    index * 4 + 8 <= bytes.length ? BigInt(bytes.readUInt32LE(4 + index * 4)) : 0n;
  const high = version === VERSION_1 ? 0n : 1n;
  return {
    permitted: namesOf(word(0) | ((word(2) * high) << 32n)),
    inheritable: namesOf(word(1) | ((word(3) * high) << 32n)),
    effective: (head & EFFECTIVE) !== 0,
  };
}

/**
 * Gives capabilities to a program file, as setcap(8) does. Writing to the file or changing its owner takes them away again.
 * Needs CAP_SETFCAP, and a filesystem with extended attributes.
 * @throws SyscallError EPERM, ENOTSUP, EROFS, ENOENT
 */
export function setFileCapabilities(path: string, of: FileCapabilities): void {
  const bytes = formatFileCapabilities(of);
  checked(
    'setxattr',
    c_setxattr(path, ATTRIBUTE, bytes, bytes.length, 0),
    `${ATTRIBUTE} of ${JSON.stringify(path)}`,
  );
}

export function formatFileCapabilities({ permitted, inheritable, effective }: FileCapabilities): Buffer {
  const [mayGet, mayKeep] = [maskOf(permitted), maskOf(inheritable)];
  const low = (mask: bigint): number => Number(mask & 0xffffffffn);
  const high = (mask: bigint): number => Number(mask >> 32n);
  const words = [
    VERSION_2 | (effective ? EFFECTIVE : 0),
    low(mayGet),
    low(mayKeep),
    high(mayGet),
    high(mayKeep),
  ];
  const bytes = Buffer.alloc(20);
  words.forEach((word, i) => bytes.writeUInt32LE(word, i * 4));
  return bytes;
}

/** What counts as a file's capabilities when user 0 executes it: all of them. */
export const ROOTS_FILE: FileCapabilities = {
  permitted: Object.keys(CAPABILITIES) as Capability[],
  inheritable: Object.keys(CAPABILITIES) as Capability[],
  effective: true,
};
