import { readFileSync } from 'node:fs';
import { ifAlive } from '../01-processes/index.ts';

/** What the kernel says of one of its controllers, whatever is mounted in this process's sight. */
export interface KernelController {
  name: string;
  /** The number of its v1 tree, which /proc/PID/cgroup has too; 0 when it is in none: it is in v2's, or nobody has mounted it. */
  hierarchy: number;
  /** How many cgroups its tree has. */
  cgroups: number;
  /** False when the machine was booted with `cgroup_disable=` and its name. */
  enabled: boolean;
}

/** Reads /proc/cgroups: the controllers that this kernel has, but for those that only v2 knows. Empty where there is no such file. cgroups(7). */
export const readKernelControllers = (): KernelController[] =>
  parseKernelControllers(ifAlive(() => readFileSync('/proc/cgroups', 'utf8')) ?? '');

/** A line for each controller, after one that says what stands where. */
export function parseKernelControllers(text: string): KernelController[] {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((line) => {
    const [name, hierarchy, cgroups, enabled] = line.split('\t');
    return { name: name!, hierarchy: Number(hierarchy), cgroups: Number(cgroups), enabled: enabled === '1' };
  });
}
