import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readState, writeState } from '../04-overlayfs/index.ts';
import { badParameter, conflict, notFound } from './api-error.ts';
import { now } from './container.ts';

/** A folder of the engine's that outlives containers. */
export interface Volume {
  version: 1;
  name: string;
  created: string;
  labels: Record<string, string>;
  /** Nobody named it: it goes with its container where that is asked for. */
  anonymous: boolean;
}

export interface VolumeStore {
  all(): Volume[];
  /** @throws ApiError 404 */
  get(name: string): Volume;
  /** Makes a volume, or gives the one that is there. An empty name: one is drawn. @throws ApiError 400 */
  create(name: string, labels?: Record<string, string>): Promise<Volume>;
  /** @throws ApiError 404; 409 when a container has it */
  remove(name: string): Promise<void>;
  /** The folder that containers see. */
  path(name: string): string;
}

/** Opens the volumes in `dir`. `usersOf` tells which containers have a volume. */
export async function openVolumeStore(
  dir: string,
  usersOf: (name: string) => string[],
): Promise<VolumeStore> {
  await mkdir(dir, { recursive: true, mode: 0o701 });
  const volumes = new Map<string, Volume>();
  for (const name of await readdir(dir)) {
    const volume = await readState<Volume>(join(dir, name, 'volume.json'), 1);
    if (volume) volumes.set(name, volume);
  }
  const get = (name: string): Volume => {
    const volume = volumes.get(name);
    if (!volume) throw notFound(`get ${name}: no such volume`);
    return volume;
  };
  return {
    all: () => [...volumes.values()],
    get,
    create: async (asked, labels = {}) => {
      const name = asked || randomBytes(32).toString('hex');
      if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name))
        throw badParameter(
          `create ${name}: "${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
        );
      const present = volumes.get(name);
      if (present) return present;
      const volume: Volume = { version: 1, name, created: now(), labels, anonymous: asked === '' };
      await mkdir(join(dir, name, '_data'), { recursive: true });
      await writeState(join(dir, name, 'volume.json'), volume);
      volumes.set(name, volume);
      return volume;
    },
    remove: async (name) => {
      get(name);
      const users = usersOf(name);
      if (users.length > 0) throw conflict(`remove ${name}: volume is in use - [${users.join(', ')}]`);
      await rm(join(dir, name), { recursive: true, force: true });
      volumes.delete(name);
    },
    path: (name) => join(dir, name, '_data'),
  };
}
