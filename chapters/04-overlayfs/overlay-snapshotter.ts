import { chmod, chown, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { lockDirectory } from './directory-lock.ts';
import { diskUsage } from './disk-usage.ts';
import { alreadyExists, failedPrecondition, invalidArgument, notFound } from './errors.ts';
import { updatedLabels, type Labels } from './labels.ts';
import type { Mount } from './mounts.ts';
import type { SnapshotInfo, SnapshotKind, Snapshotter } from './snapshotter.ts';
import { readState, serializer, writeState, type Versioned } from './state-file.ts';

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
  nextId: number;
  snapshots: Record<string, SnapshotRecord>;
}

const VERSION = 1;

/**
 * Snapshots as overlayfs layers in `dir`: `snapshots/ID/fs` holds the files of one layer, `snapshots/ID/work` is overlayfs' own
 * place, `metadata.json` says which is whose child. It is written before a folder is removed and after one is made, so that
 * a crash can leave a folder that nobody knows (removed at the next opening), but never a name without its files.
 * @param dir an absolute path
 * @throws StoreError UNAVAILABLE when another process has it open, DATA_LOSS when the metadata is damaged
 */
export async function overlayfsSnapshotter(dir: string): Promise<Snapshotter> {
  if (/[,:\\]/.test(dir))
    throw invalidArgument(`${JSON.stringify(dir)}: the options of overlayfs take no path with , : or \\`);
  const root = join(dir, 'snapshots');
  const metadataPath = join(dir, 'metadata.json');
  await mkdir(root, { recursive: true, mode: 0o700 });
  const unlock = lockDirectory(dir);
  const serially = serializer();
  let state: Metadata;
  try {
    state = (await readState<Metadata>(metadataPath, VERSION)) ?? {
      version: VERSION,
      nextId: 1,
      snapshots: {},
    };
    await removeUnknown(root, state);
  } catch (error) {
    unlock();
    throw error;
  }

  const find = (key: string): SnapshotRecord => {
    const record = Object.hasOwn(state.snapshots, key) ? state.snapshots[key] : undefined;
    if (!record) throw notFound(`snapshot ${JSON.stringify(key)}`);
    return record;
  };
  const fsPath = (record: SnapshotRecord): string => join(root, record.id, 'fs');
  const now = (): string => new Date().toISOString();

  /** The new state counts from the moment it is on the disk; if that fails, the old one stands. */
  async function save(snapshots: Metadata['snapshots'], nextId = state.nextId): Promise<void> {
    const next = { version: VERSION, nextId, snapshots };
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
    snapshotMounts({
      kind: record.kind,
      fs: fsPath(record),
      work: join(root, record.id, 'work'),
      lower: parentsOf(record).map(fsPath),
    });

  const create = (kind: 'active' | 'view', key: string, parent: string, labels: Labels): Promise<Mount[]> =>
    serially(async () => {
      if (!key) throw invalidArgument('a snapshot needs a key that is not empty');
      if (Object.hasOwn(state.snapshots, key)) throw alreadyExists(`snapshot ${JSON.stringify(key)}`);
      if (parent && find(parent).kind !== 'committed')
        throw invalidArgument(`parent ${JSON.stringify(parent)} is not a committed snapshot`);
      const id = String(state.nextId);
      const record: SnapshotRecord = { id, kind, parent, labels, createdAt: now(), updatedAt: now() };
      const fresh = await mkdtemp(join(root, 'new-'));
      await makeFolder(fresh, parent && fsPath(find(parent)));
      await rename(fresh, join(root, id));
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
      }),
    remove: (key) =>
      serially(async () => {
        const record = find(key);
        const child = Object.entries(state.snapshots).find(([, other]) => other.parent === key)?.[0];
        if (child !== undefined)
          throw failedPrecondition(`snapshot ${JSON.stringify(key)} has a child: ${JSON.stringify(child)}`);
        const { [key]: _, ...others } = state.snapshots;
        await save(others);
        await rm(join(root, record.id), { recursive: true, force: true });
      }),
    stat: async (key) => infoOf(key, find(key)),
    update: (key, labels, fieldpaths) =>
      serially(async () => {
        const old = find(key);
        const record = { ...old, labels: updatedLabels(old.labels, labels, fieldpaths), updatedAt: now() };
        await save({ ...state.snapshots, [key]: record });
        return infoOf(key, record);
      }),
    usage: async (key) => diskUsage(fsPath(find(key))),
    list: async () => Object.entries(state.snapshots).map(([name, record]) => infoOf(name, record)),
    close: async () => unlock(),
  };
}

/**
 * How a snapshot is mounted, in containerd's words: one directory by a bind mount, more by an overlay.
 * @param lower the directories below, the nearest first
 */
export function snapshotMounts({
  kind,
  fs,
  work,
  lower,
}: {
  kind: SnapshotKind;
  fs: string;
  work: string;
  lower: readonly string[];
}): Mount[] {
  //#gap 04.4 snapshotMounts
  const writable = kind === 'active';
  // What is stacked: a view has an empty directory of its own, and shows its parents alone.
  const layers = writable || lower.length === 0 ? [fs, ...lower] : lower;
  if (layers.length === 1)
    return [{ type: 'bind', source: layers[0]!, options: [writable ? 'rw' : 'ro', 'rbind'] }];
  const options = [`lowerdir=${lower.join(':')}`];
  if (writable) options.unshift(`workdir=${work}`, `upperdir=${fs}`);
  return [{ type: 'overlay', source: 'overlay', options }];
  //#end
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

/** The folder of one layer. Its root looks like the parent's: the container's `/` has the upper directory's owner and mode. */
async function makeFolder(folder: string, parentFs: string): Promise<void> {
  await chmod(folder, 0o711);
  const fs = join(folder, 'fs');
  await mkdir(fs);
  await mkdir(join(folder, 'work'), { mode: 0o711 });
  const { uid, gid, mode } = parentFs ? await stat(parentFs) : { uid: 0, gid: 0, mode: 0o755 };
  await chown(fs, uid, gid);
  await chmod(fs, mode & 0o7777);
}

/** Removes folders that no snapshot names: what a crash between folder and metadata left. */
async function removeUnknown(root: string, state: Metadata): Promise<void> {
  const known = new Set(Object.values(state.snapshots).map((record) => record.id));
  for (const name of await readdir(root))
    if (!known.has(name)) await rm(join(root, name), { recursive: true, force: true });
}
