import { mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { mountAll, unmountAll } from '../04-overlayfs/index.ts';
import type { Mount } from '../06-shim-containerd/index.ts';
import type { Daemon } from './daemon.ts';

/**
 * Shows `look` the files of a container that does not run: mounts its snapshot for as long as it takes. Nothing stays behind, also
 * when it throws.
 */
export async function withContainerRoot<T>(
  { options }: Pick<Daemon, 'options'>,
  id: string,
  mounts: readonly Mount[],
  look: (root: string) => T | Promise<T>,
): Promise<T> {
  const directory = join(options.execRoot, 'mounts');
  const root = join(directory, id);
  await mkdir(root, { recursive: true, mode: 0o700 });
  try {
    mountAll(mounts, root);
    return await look(root);
  } finally {
    unmountAll(root);
    await rmdir(root);
  }
}
