import { closeSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { mkdir, mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { fdPath, openInRootIfThere } from '../02-namespaces/index.ts';
import { applyLayer } from '../04-overlayfs/index.ts';
import type { Daemon } from './daemon.ts';
import { badParameter } from './api-error.ts';
import { explain } from './log.ts';

/** The files that came with a build, in a folder that goes when the build ends. */
export interface BuildContext {
  root: string;
  /** A file's text; `undefined` where there is none. Links lead nowhere outside. */
  read(path: string): string | undefined;
  remove(): void;
}

/** Unpacks a build's context. @throws ApiError 400 when it is no tar, or tries to climb out */
export async function openBuildContext(
  { options }: Daemon,
  tar: AsyncIterable<Uint8Array>,
): Promise<BuildContext> {
  const folder = join(options.dataRoot, 'builds');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const root = await mkdtemp(join(folder, 'context-'));
  const remove = (): void => rmSync(root, { recursive: true, force: true });
  try {
    await applyLayer(tar, root, { whiteouts: 'keep' });
  } catch (error) {
    remove();
    throw badParameter(`the build's context cannot be read: ${explain(error)}`, error);
  }
  return {
    root,
    remove,
    read(path) {
      const rootFd = openSync(root, 'r');
      try {
        const fd = openInRootIfThere(rootFd, path);
        if (fd === undefined) return undefined;
        try {
          return statSync(fdPath(fd)).isFile() ? readFileSync(fdPath(fd), 'utf8') : undefined;
        } finally {
          closeSync(fd);
        }
      } finally {
        closeSync(rootFd);
      }
    },
  };
}
