import { chmod, mkdir, mkdtemp, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { lockDirectory } from './directory-lock.ts';
import { alreadyExists, failedPrecondition, invalidArgument, notFound } from './errors.ts';
import { updatedLabels, type Labels } from './labels.ts';
import type { Mount } from './mounts.ts';
import type { SnapshotInfo, SnapshotKind, Snapshotter, Usage } from './snapshotter.ts';
import { readState, serializer, writeState, type Versioned } from './state-file.ts';

/** How the files of snapshots are kept: what snapshotters differ in. A snapshot's files lie in a folder of its own. */
export interface SnapshotFiles {
  /** Its name in containerd: `overlayfs`, `native`, `btrfs`. */
  name: string;
  /** Fills the empty folder of a new snapshot. @param parent the folder of the one below */
  make(folder: string, parent: string | undefined, kind: SnapshotKind): Promise<void>;
  /** How it is mounted. @param parents the folders of all below, the nearest first */
  mounts(kind: SnapshotKind, folder: string, parents: readonly string[]): Mount[];
  /** Told when a snapshot has become a committed one. */
  committed?(folder: string): void;
  /** Removes a folder, also one that `make` has only half filled. */
  remove(folder: string): Promise<void>;
  usage(folder: string, parent: string | undefined): Promise<Usage>;
}

/** One snapshot as it stands in `metadata.json`, under its name. */
interface SnapshotRecord {
  /** The folder's name: a number that is never used again. */
  id: string;
  kind: SnapshotKind;
  /** Empty: none. */
  parent: string;
  labels: Labels;
  createdAt: string;
  updatedAt: string;
}

interface Metadata extends Versioned {
  /** Whose files they are; those of before there was a choice are overlayfs'. */
  snapshotter?: string;
  nextId: number;
  snapshots: Record<string, SnapshotRecord>;
}

const VERSION = 1;

/**
 * Snapshots in `dir`: `snapshots/ID/` has the files of one, `metadata.json` says which is whose child. It is written before a folder is
 * removed and after one is made, so that a crash can leave a folder that nobody knows (removed at the next opening), but never a name
 * without its files.
 * @param dir an absolute path
 * @throws StoreError UNAVAILABLE when another process has it open, DATA_LOSS when the metadata is damaged, FAILED_PRECONDITION when the
 * files are another snapshotter's
 */
export async function openSnapshots(dir: string, files: SnapshotFiles): Promise<Snapshotter> {
  const root = join(dir, 'snapshots');
  const metadataPath = join(dir, 'metadata.json');
  await mkdir(root, { recursive: true, mode: 0o700 });
  const unlock = lockDirectory(dir);
  const serially = serializer();
  let state: Metadata;
  try {
    state = (await readState<Metadata>(metadataPath, VERSION)) ?? {
      version: VERSION,
      snapshotter: files.name,
      nextId: 1,
      snapshots: {},
    };
    const { snapshotter = 'overlayfs' } = state;
    if (snapshotter !== files.name)
      throw failedPrecondition(`${dir} has the snapshots of ${snapshotter}, not of ${files.name}`);
    const known = new Set(Object.values(state.snapshots).map((record) => record.id));
    for (const name of await readdir(root)) if (!known.has(name)) await files.remove(join(root, name));
  } catch (error) {
    unlock();
    throw error;
  }

  const find = (key: string): SnapshotRecord => {
    const record = Object.hasOwn(state.snapshots, key) ? state.snapshots[key] : undefined;
    if (!record) throw notFound(`snapshot ${JSON.stringify(key)}`);
    return record;
  };
  const folderOf = ({ id }: SnapshotRecord): string => join(root, id);
  const parentFolder = ({ parent }: SnapshotRecord): string | undefined =>
    parent ? folderOf(find(parent)) : undefined;
  const now = (): string => new Date().toISOString();

  /** The new state counts from the moment it is on the disk; if that fails, the old one stands. */
  async function save(snapshots: Metadata['snapshots'], nextId = state.nextId): Promise<void> {
    const next = { version: VERSION, snapshotter: files.name, nextId, snapshots };
    await writeState(metadataPath, next);
    state = next;
  }

  /** A snapshot's parents, the nearest first. */
  function parentsOf(record: SnapshotRecord): SnapshotRecord[] {
    if (!record.parent) return [];
    const parent = find(record.parent);
    return [parent, ...parentsOf(parent)];
  }

  const mountsOf = (record: SnapshotRecord): Mount[] =>
    files.mounts(record.kind, folderOf(record), parentsOf(record).map(folderOf));

  const create = (kind: 'active' | 'view', key: string, parent: string, labels: Labels): Promise<Mount[]> =>
    serially(async () => {
      if (!key) throw invalidArgument('a snapshot needs a key that is not empty');
      if (Object.hasOwn(state.snapshots, key)) throw alreadyExists(`snapshot ${JSON.stringify(key)}`);
      if (parent && find(parent).kind !== 'committed')
        throw invalidArgument(`parent ${JSON.stringify(parent)} is not a committed snapshot`);
      const id = String(state.nextId);
      const record: SnapshotRecord = { id, kind, parent, labels, createdAt: now(), updatedAt: now() };
      const fresh = await mkdtemp(join(root, 'new-'));
      try {
        await chmod(fresh, 0o711);
        await files.make(fresh, parentFolder(record), kind);
        await rename(fresh, folderOf(record));
      } catch (error) {
        await files.remove(fresh);
        throw error;
      }
      await save({ ...state.snapshots, [key]: record }, state.nextId + 1);
      return mountsOf(record);
    });

  return {
    prepare: (key, parent, labels = {}) => create('active', key, parent, labels),
    view: (key, parent, labels = {}) => create('view', key, parent, labels),
    mounts: (key) =>
      serially(async () => {
        const record = find(key);
        if (record.kind === 'committed')
          throw failedPrecondition(
            `snapshot ${JSON.stringify(key)} is committed: only active ones and views are mounted`,
          );
        return mountsOf(record);
      }),
    commit: (name, key, labels) =>
      serially(async () => {
        if (!name) throw invalidArgument('a committed snapshot needs a name that is not empty');
        const record = find(key);
        if (Object.hasOwn(state.snapshots, name)) throw alreadyExists(`snapshot ${JSON.stringify(name)}`);
        if (record.kind !== 'active')
          throw failedPrecondition(`snapshot ${JSON.stringify(key)} is not active`);
        const { [key]: _, ...others } = state.snapshots;
        const committed: SnapshotRecord = {
          ...record,
          kind: 'committed',
          labels: labels ?? record.labels,
          createdAt: now(),
          updatedAt: now(),
        };
        await save({ ...others, [name]: committed });
        files.committed?.(folderOf(committed));
      }),
    remove: (key) =>
      serially(async () => {
        const record = find(key);
        const child = Object.entries(state.snapshots).find(([, other]) => other.parent === key)?.[0];
        if (child !== undefined)
          throw failedPrecondition(`snapshot ${JSON.stringify(key)} has a child: ${JSON.stringify(child)}`);
        const { [key]: _, ...others } = state.snapshots;
        await save(others);
        await files.remove(folderOf(record));
      }),
    stat: async (key) => infoOf(key, find(key)),
    update: (key, labels, fieldpaths) =>
      serially(async () => {
        const old = find(key);
        const record = { ...old, labels: updatedLabels(old.labels, labels, fieldpaths), updatedAt: now() };
        await save({ ...state.snapshots, [key]: record });
        return infoOf(key, record);
      }),
    usage: async (key) => files.usage(folderOf(find(key)), parentFolder(find(key))),
    list: async () => Object.entries(state.snapshots).map(([name, record]) => infoOf(name, record)),
    close: async () => unlock(),
  };
}

const infoOf = (
  name: string,
  { kind, parent, labels, createdAt, updatedAt }: SnapshotRecord,
): SnapshotInfo => ({
  kind,
  name,
  parent,
  labels: { ...labels },
  createdAt: new Date(createdAt),
  updatedAt: new Date(updatedAt),
});
