import type { DeviceRule } from './resources.ts';

/** A rule with nothing left out. */
export interface FullRule {
  allow: boolean;
  type: 'a' | 'b' | 'c';
  major: number | '*';
  minor: number | '*';
  access: string;
}

/**
 * A rule as the kernel reads it.
 * @throws RangeError for a type or an access that there is none
 */
export function fullRule(rule: DeviceRule): FullRule {
  const { allow, type = 'a', access = 'rwm' } = rule;
  if (type !== 'a' && type !== 'b' && type !== 'c')
    throw new RangeError(
      `invalid device type ${JSON.stringify(type)}: give a (all), b (block) or c (character)`,
    );
  if (!/^[rwm]{1,3}$/.test(access || 'rwm'))
    throw new RangeError(`invalid device access ${JSON.stringify(access)}: give letters of rwm`);
  const number = (n: number | undefined): number | '*' => (n === undefined || n < 0 ? '*' : n);
  return { allow, type, major: number(rule.major), minor: number(rule.minor), access: access || 'rwm' };
}
