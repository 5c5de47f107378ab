import { readFileSync } from 'node:fs';
import { CAPABILITIES, type Capability } from './capability-names.ts';
import { checked, isErrno } from './errors.ts';
import { PR, prctl } from './prctl.ts';
import { readStatus, type ProcStatus } from './status.ts';
import type { Pid } from './proc.ts';
import { c_capget, c_capset } from './syscalls.ts';

/**
 * The five sets of a thread. `effective` is what the kernel asks at each privileged call. `permitted` is what may be made
 * effective. `inheritable` and `ambient` say what execve(2) carries over (ambient also without file capabilities).
 * `bounding` is the ceiling: what is not in it can never come back. Source: capabilities(7).
 */
export interface CapabilitySets {
  effective: Capability[];
  permitted: Capability[];
  inheritable: Capability[];
  bounding: Capability[];
  ambient: Capability[];
}

/** The five sets of any process, as the kernel shows them in /proc/PID/status; `undefined` when it is gone. */
export function readCapabilities(pid: Pid = 'self'): CapabilitySets | undefined {
  const masks = readStatus(pid)?.capabilities;
  return masks && setsIn(masks);
}

/** The five masks of a status file as names. */
export const setsIn = (masks: ProcStatus['capabilities']): CapabilitySets => ({
  effective: namesOf(masks.effective),
  permitted: namesOf(masks.permitted),
  inheritable: namesOf(masks.inheritable),
  bounding: namesOf(masks.bounding),
  ambient: namesOf(masks.ambient),
});

/**
 * The name of a capability given as a person does: `NET_ADMIN`, `cap_net_admin`, `CAP_NET_ADMIN`.
 * @throws RangeError for what is none
 */
export function parseCapability(name: string): Capability {
  const full = name
    .trim()
    .toUpperCase()
    .replace(/^(CAP_)?/, 'CAP_');
  if (full in CAPABILITIES) return full as Capability;
  throw new RangeError(
    `unknown capability ${JSON.stringify(name)}: give a name from capabilities(7), such as CAP_CHOWN`,
  );
}

/** A set as the kernel writes it: bit n is capability n. */
export const maskOf = (names: readonly Capability[]): bigint =>
  names.reduce((mask, name) => mask | (1n << BigInt(CAPABILITIES[name].number)), 0n);

/** The names in a mask, in the kernel's order. Bits that are newer than this list are left out. */
export const namesOf = (mask: bigint): Capability[] =>
  (Object.keys(CAPABILITIES) as Capability[]).filter(
    (name) => mask & (1n << BigInt(CAPABILITIES[name].number)),
  );

/** The capabilities that the running kernel knows: older kernels know fewer of the 41. */
export function knownCapabilities(): Capability[] {
  const last = Number(readFileSync('/proc/sys/kernel/cap_last_cap', 'utf8'));
  return namesOf((1n << BigInt(last + 1)) - 1n);
}

const VERSION_3 = 0x20080522;

/**
 * Sets three of the calling thread's sets; one that is not given stays as it is. Nothing can be added to `permitted`; `effective`
 * must lie within it, and `inheritable` within what is inheritable already and the bounding set. What leaves
 * `permitted` or `inheritable` leaves `ambient` by itself.
 * Source: capset(2).
 * @throws SyscallError EPERM when one of these does not hold
 */
export function setCapabilities(
  sets: Partial<Pick<CapabilitySets, 'effective' | 'permitted' | 'inheritable'>>,
): void {
  //#gap 01.3 setCapabilities
  // Two structs of three words: the masks have grown beyond 32 bits, so word i+3 continues word i.
  const header = new Uint32Array([VERSION_3, 0]); // 0: the calling thread
  const data = new Uint32Array(6);
  checked('capget', c_capget(header, data));
  const wanted = [sets.effective, sets.permitted, sets.inheritable];
  for (const [word, names] of wanted.entries()) {
    if (!names) continue;
    const mask = maskOf(names);
    data[word] = Number(mask & 0xffffffffn);
    data[word + 3] = Number(mask >> 32n);
  }
  checked('capset', c_capset(header, data));
  //#end
}

/**
 * Takes everything but `keep` out of the calling thread's bounding set, for good. Names that the kernel does not know, and
 * those that are out already, are passed over. Needs CAP_SETPCAP. Source: PR_CAPBSET_DROP(2const).
 * @throws SyscallError EPERM
 */
export function limitBounding(keep: readonly Capability[]): void {
  for (const name of knownCapabilities())
    if (!keep.includes(name) && inBounding(name)) prctl(PR.CAPBSET_DROP, CAPABILITIES[name].number);
}

/** Whether a capability is in the calling thread's bounding set; false for one that this kernel does not know. */
export function inBounding(name: Capability): boolean {
  try {
    return prctl(PR.CAPBSET_READ, CAPABILITIES[name].number) === 1;
  } catch (error) {
    if (isErrno(error, 'EINVAL')) return false;
    throw error;
  }
}

const AMBIENT_RAISE = 2;
const AMBIENT_LOWER = 3;
const AMBIENT_CLEAR_ALL = 4;

/**
 * Makes a capability ambient: it is kept over execve(2) of a program without file capabilities, for any user. It must be
 * permitted and inheritable. Source: PR_CAP_AMBIENT(2const).
 * @throws SyscallError EPERM when it is not
 */
export const raiseAmbient = (name: Capability): void =>
  void prctl(PR.CAP_AMBIENT, AMBIENT_RAISE, CAPABILITIES[name].number);

/** Takes one capability out of the ambient set. */
export const lowerAmbient = (name: Capability): void =>
  void prctl(PR.CAP_AMBIENT, AMBIENT_LOWER, CAPABILITIES[name].number);

/** Empties the ambient set. */
export const clearAmbient = (): void => void prctl(PR.CAP_AMBIENT, AMBIENT_CLEAR_ALL);
