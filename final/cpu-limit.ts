import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cgroup } from '../chapters/03-cgroups/index.ts';

/** How much processor time a cgroup gets, as the kernel's files say: microseconds in every period; Infinity without a limit. */
export function cpuLimit(cgroup: Cgroup): { quota: number; period: number } {
  const paths = cgroup.paths();
  const folder = paths['cpu'] ?? paths[''];
  if (folder === undefined) throw new Error(`${cgroup.path} is in no tree that limits processors`);
  const read = (file: string): string => readFileSync(join(folder, file), 'utf8').trim();
  const [quota, period] = existsSync(join(folder, 'cpu.max'))
    ? read('cpu.max').split(' ')
    : [read('cpu.cfs_quota_us'), read('cpu.cfs_period_us')];
  return { quota: quota === 'max' || quota === '-1' ? Infinity : Number(quota), period: Number(period) };
}
