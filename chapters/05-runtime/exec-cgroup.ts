import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import type { Container } from './container.ts';

/**
 * Moves a process that `exec` starts into the container's cgroup; with `wanted`, into cgroups below it, as `exec --cgroup` names them:
 * `PATH` for all trees, or on v1 `CONTROLLER[,CONTROLLER]:PATH` for one.
 * @throws Error for a controller that is not there, a path that leads out of the container's cgroup, or a cgroup that does not exist
 */
export function joinCgroup(
  { cgroup }: Pick<Container, 'cgroup'>,
  pid: number,
  wanted: readonly string[],
): void {
  if (wanted.length === 0) return cgroup.add(pid);
  for (const folder of new Set(Object.values(choose(cgroup.paths(), wanted)))) {
    const file = join(folder, 'cgroup.procs');
    try {
      writeFileSync(file, String(pid), { flag: 'r+' });
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      const why = REASONS[code ?? ''] ?? (cause as Error).message;
      throw new Error(`error adding pid ${pid} to cgroups: write ${file}: ${why}`, { cause: undefined });
    }
  }
}

/** In the words of runc, which callers look for. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EBUSY: 'device or resource busy',
};

function choose(own: Record<string, string>, wanted: readonly string[]): Record<string, string> {
  const chosen = { ...own };
  for (const word of wanted) {
    const [first, path, ...rest] = word.split(':');
    if (rest.length > 0) throw new Error(`invalid --cgroup argument: ${word}`);
    if (path === undefined && wanted.length > 1)
      throw new Error(`invalid --cgroup argument: ${word} (missing <controller>: prefix)`);
    const controllers = path === undefined ? Object.keys(own) : first!.split(',');
    for (const controller of controllers) {
      const folder = own[controller];
      if (folder === undefined) throw new Error(`unknown controller ${controller} in --cgroup ${word}`);
      const below = path ?? first!;
      const target = join(folder, below);
      if (target !== folder && !target.startsWith(`${folder.replace(/\/$/, '')}/`))
        throw new Error(`--cgroup: ${below} is not a sub cgroup path`);
      chosen[controller] = target.replace(/\/$/, '');
    }
  }
  return chosen;
}
