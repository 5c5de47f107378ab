import type { Labels } from './labels.ts';
import type { Mount } from './mounts.ts';

/**
 * What a snapshot is: `active` can be written and becomes `committed`; `committed` never changes and can be a parent;
 * `view` shows its parent and cannot be written.
 */
export type SnapshotKind = 'view' | 'active' | 'committed';

/** What is known of a snapshot, as in containerd's snapshots service. */
export interface SnapshotInfo {
  kind: SnapshotKind;
  /** The key it was prepared with, or the name it was committed under. */
  name: string;
  /** The committed snapshot below it; empty if it is the lowest. */
  parent: string;
  labels: Labels;
  createdAt: Date;
  updatedAt: Date;
}

/** What a snapshot takes up by itself, without its parents. */
export interface Usage {
  /** bytes on the disk; a file of several names counts once */
  size: number;
  inodes: number;
}

/**
 * Layers of files, each on top of another. The promises are containerd's (core/snapshots/snapshotter.go). All keys and
 * names share one name space.
 */
export interface Snapshotter {
  /**
   * A new snapshot that can be written, on top of `parent` (empty: on nothing). Returns how to mount it.
   * @throws StoreError ALREADY_EXISTS (the key), NOT_FOUND (the parent), INVALID_ARGUMENT (the parent is not committed)
   */
  prepare(key: string, parent: string, labels?: Labels): Promise<Mount[]>;
  /** The same, read only. */
  view(key: string, parent: string, labels?: Labels): Promise<Mount[]>;
  /** How to mount a snapshot. @throws StoreError NOT_FOUND, FAILED_PRECONDITION (it is committed) */
  mounts(key: string): Promise<Mount[]>;
  /**
   * Makes an active snapshot a committed one: `key` is gone, `name` is there, and does not change any more.
   * @throws StoreError NOT_FOUND, ALREADY_EXISTS (the name), FAILED_PRECONDITION (it is not active)
   */
  commit(name: string, key: string, labels?: Labels): Promise<void>;
  /** Forgets a snapshot and its files. @throws StoreError NOT_FOUND, FAILED_PRECONDITION (it has children) */
  remove(key: string): Promise<void>;
  /** @throws StoreError NOT_FOUND */
  stat(key: string): Promise<SnapshotInfo>;
  /** Changes labels (see `updatedLabels`). @throws StoreError NOT_FOUND, INVALID_ARGUMENT */
  update(key: string, labels: Labels, fieldpaths?: readonly string[]): Promise<SnapshotInfo>;
  /** @throws StoreError NOT_FOUND */
  usage(key: string): Promise<Usage>;
  list(): Promise<SnapshotInfo[]>;
  /** Lets go of the folder, so that another process can open it. */
  close(): Promise<void>;
}
