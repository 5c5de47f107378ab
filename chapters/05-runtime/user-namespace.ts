import { readFileSync } from 'node:fs';
import { parseRanges } from '../02-namespaces/index.ts';

/** Whether this process is in another user namespace than the machine's first, which maps every id to itself. */
export function isInUserNamespace(): boolean {
  const [first, ...more] = parseRanges(readFileSync('/proc/self/uid_map', 'utf8'));
  return more.length > 0 || first?.containerID !== 0 || first.hostID !== 0 || first.size !== 2 ** 32 - 1;
}
