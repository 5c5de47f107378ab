import { fullRule } from './device-rule.ts';
import type { Write } from './limits.ts';
import type { DeviceRule } from './resources.ts';

/**
 * The devices that every container may use, whatever its spec says: the runtime spec's default devices, terminals, and making any
 * device file (which opens nothing). A runtime adds them after the rules of the spec, as runc does.
 */
export const DEFAULT_DEVICE_RULES: readonly DeviceRule[] = [
  { allow: true, type: 'c', access: 'm' },
  { allow: true, type: 'b', access: 'm' },
  { allow: true, type: 'c', major: 1, minor: 3, access: 'rwm' }, // /dev/null
  { allow: true, type: 'c', major: 1, minor: 5, access: 'rwm' }, // /dev/zero
  { allow: true, type: 'c', major: 1, minor: 7, access: 'rwm' }, // /dev/full
  { allow: true, type: 'c', major: 1, minor: 8, access: 'rwm' }, // /dev/random
  { allow: true, type: 'c', major: 1, minor: 9, access: 'rwm' }, // /dev/urandom
  { allow: true, type: 'c', major: 5, minor: 0, access: 'rwm' }, // /dev/tty
  { allow: true, type: 'c', major: 5, minor: 2, access: 'rwm' }, // /dev/ptmx
  { allow: true, type: 'c', major: 136, access: 'rwm' }, // /dev/pts/N
  { allow: true, type: 'c', major: 10, minor: 200, access: 'rwm' }, // /dev/net/tun
];

/** The lines for v1: each rule goes to `devices.allow` or `devices.deny`, in order. Source: cgroup-v1/devices. */
export function deviceWrites(rules: readonly DeviceRule[]): Write[] {
  return rules.map(fullRule).map(({ allow, type, major, minor, access }) => ({
    controller: 'devices',
    file: allow ? 'devices.allow' : 'devices.deny',
    value: type === 'a' ? 'a' : `${type} ${major}:${minor} ${access}`,
    asked: 'devices',
  }));
}

/** What rules come to: all is allowed, or nothing, but for some. */
export interface DeviceList {
  allowAll: boolean;
  exceptions: { type: 'b' | 'c'; major: number | '*'; minor: number | '*'; access: string }[];
}

/**
 * Follows the rules as v1's kernel code does, so that v2 judges alike: a rule for all devices sets the ground and forgets what was
 * before; a rule that differs from the ground adds to the exceptions; one that agrees with it takes away from the exception for
 * the very same numbers.
 */
export function deviceList(rules: readonly DeviceRule[]): DeviceList {
  //#gap 03.4 deviceList
  let list: DeviceList = { allowAll: true, exceptions: [] }; // a new cgroup denies nothing
  for (const { allow, type, major, minor, access } of rules.map(fullRule)) {
    if (type === 'a') {
      list = { allowAll: allow, exceptions: [] };
      continue;
    }
    const same = list.exceptions.find((e) => e.type === type && e.major === major && e.minor === minor);
    const before = same?.access ?? '';
    const letters = [...'rwm'].filter((letter) =>
      allow === list.allowAll
        ? before.includes(letter) && !access.includes(letter)
        : before.includes(letter) || access.includes(letter),
    );
    list.exceptions = list.exceptions.filter((e) => e !== same);
    if (letters.length > 0) list.exceptions.push({ type, major, minor, access: letters.join('') });
  }
  return list;
  //#end
}
