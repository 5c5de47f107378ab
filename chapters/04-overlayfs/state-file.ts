import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isErrno } from '../01-processes/index.ts';
import { dataLoss } from './errors.ts';

/** State as it stands on disk: `version` says which program can read it. */
export interface Versioned {
  version: number;
}

/**
 * Writes a file whole or not at all: into a temporary file beside it, on to the disk (fsync), then under its name
 * (rename(2) replaces in one step), and the directory too. A reader, also one after a crash, sees the old content
 * or the new one.
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  const temporary = `${path}.tmp-${randomBytes(6).toString('hex')}`;
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** Puts a directory's list of names on the disk: what was renamed into it is still there after a power cut. fsync(2). */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Writes versioned state as JSON, whole or not at all. */
export async function writeState(path: string, state: Versioned): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFileAtomic(path, `${JSON.stringify(state, null, 1)}\n`);
}

/**
 * Reads versioned state; `undefined` when there is none yet.
 * @throws StoreError DATA_LOSS when the file is no JSON, or of a version that this program does not know
 */
export async function readState<T extends Versioned>(path: string, version: number): Promise<T | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
  let state: T;
  try {
    state = JSON.parse(text) as T;
  } catch (error) {
    throw dataLoss(`${path} is damaged: it is not JSON`, error);
  }
  if (state?.version !== version)
    throw dataLoss(`${path} is of version ${state?.version}: this program reads version ${version}`);
  return state;
}

/** One at a time: `serially(fn)` runs `fn` after all that were given before have ended, well or badly. */
export function serializer(): <T>(task: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (task) => {
    const result = last.then(task);
    last = result.catch(() => undefined);
    return result;
  };
}
