import {
  afterExec,
  inBounding,
  maskOf,
  ROOTS_FILE,
  setCapabilities,
  type Capability,
  type CapabilitySets,
} from '../01-processes/index.ts';
import type { Identity } from './identity.ts';

type Sets = Pick<CapabilitySets, 'effective' | 'permitted' | 'inheritable'>;

/** The sets of a process that may set a filter, of which execve(2) makes those that config.json wants. */
export interface RightToFilter {
  /** For this process. */
  here: Sets;
  /** For the trampoline, one execve(2) later. */
  there: Sets;
}

const MAY_FILTER = 'CAP_SYS_ADMIN';

/**
 * Without no_new_privs only who has CAP_SYS_ADMIN may set a filter. The program is not to have it, and the trampoline, which sets the filter, is one
 * execve(2) away. So until then it is inheritable, which is enough for root, and ambient, which is for everybody else (chapter 1); before the
 * filter is set it is only permitted and in force, and the next execve(2) makes new sets out of the others.
 *
 * Returns whom this process has to become, and the sets to be put on before the filter. To be called before `become`: what has left the
 * bounding set can no longer be made inheritable.
 * Source: capabilities(7), seccomp(2)
 */
export function keepRightToFilter(identity: Identity): { identity: Identity; right: RightToFilter } {
  const and = (set: readonly Capability[]): Capability[] => [...new Set([...set, MAY_FILTER] as const)];
  const { bounding, permitted, effective, inheritable, ambient } = identity.capabilities;
  const capabilities = {
    bounding: bounding.filter(inBounding),
    effective,
    permitted: and(permitted),
    inheritable: and(inheritable),
    // `become` leaves the others out.
    ambient: and(ambient.filter((name) => permitted.includes(name) && inheritable.includes(name))),
  };
  setCapabilities({ inheritable: capabilities.inheritable });
  const file = identity.user.uid === 0 ? ROOTS_FILE : undefined;
  const there = afterExec(capabilities, { file })!.permitted;
  return {
    identity: { ...identity, capabilities },
    right: {
      here: { effective: and(effective), permitted: and(permitted), inheritable },
      there: { effective: there, permitted: there, inheritable },
    },
  };
}

const VERSION_3 = 0x20080522;

/** What capset(2) is given to put these sets on the calling thread: its header, and three masks in words. */
export function capsetWords({ effective, permitted, inheritable }: Sets): [header: Buffer, data: Buffer] {
  const masks = [effective, permitted, inheritable].map(maskOf);
  const low = masks.map((mask) => Number(mask & 0xffffffffn));
  const high = masks.map((mask) => Number(mask >> 32n));
  const bytes = (words: number[]): Buffer => Buffer.from(new Uint32Array(words).buffer);
  return [bytes([VERSION_3, 0]), bytes([...low, ...high])];
}
