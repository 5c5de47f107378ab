import { readFileSync } from 'node:fs';
import { isErrno } from '../01-processes/index.ts';
import type { Any } from './protobuf.ts';
import { CODE, TtrpcError } from './ttrpc.ts';

/**
 * Where a process is in each cgroup tree: path by controller, '' for v2's.
 * Source: cgroups(7), /proc/PID/cgroup.
 */
export function readCgroupPaths(pid: number): Map<string, string> {
  const text = readIfThere(`/proc/${pid}/cgroup`) ?? '';
  const paths = new Map<string, string>();
  for (const [, controllers, path] of text.matchAll(/^\d+:([^:]*):(.*)$/gm))
    for (const controller of controllers!.split(',')) paths.set(controller, path!);
  return paths;
}

/** How many processes of the cgroup the kernel has killed for want of memory; 0 where that cannot be known. */
export function countOomKills(paths: Map<string, string>): number {
  const v1 = paths.get('memory');
  const v2 = paths.get('');
  const text =
    (v1 !== undefined && readIfThere(`/sys/fs/cgroup/memory${v1}/memory.oom_control`)) ||
    (v2 !== undefined && readIfThere(`/sys/fs/cgroup${v2}/memory.events`)) ||
    '';
  return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
}

export function readMetrics(_paths: Map<string, string>): Any {
  throw new TtrpcError(CODE.UNIMPLEMENTED, 'stats');
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH', 'ENODEV', 'EACCES')) return undefined;
    throw error;
  }
}
