import { existsSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  openContentStore,
  openImageStore,
  readState,
  writeState,
  type ContentStore,
  type ImageStore,
  type Labels,
  type Versioned,
} from '../04-overlayfs/index.ts';
import type { LeaseResource } from './api-leases.ts';
import { GrpcError } from './grpc-errors.ts';
import { checkIdentifier, openRecords, type RecordStore } from './record-store.ts';
import { openSnapshotters, type Snapshotters } from './snapshotters.ts';

/** A container's record as it stands on disk: the message as JSON, bytes in base64. */
export type ContainerRecord = { id: string } & Record<string, unknown>;

export interface LeaseRecord {
  id: string;
  /** ISO 8601 */
  createdAt: string;
  labels: Labels;
  resources: LeaseResource[];
}

/** What one namespace holds. */
export interface Room {
  content: ContentStore;
  images: ImageStore;
  snapshotters: Snapshotters;
  containers: RecordStore<ContainerRecord>;
  leases: RecordStore<LeaseRecord>;
}

/** The namespaces of one root: each a directory with stores of its own, so that none can see another's. */
export interface Namespaces {
  /** The stores of a namespace, which is made when it is first used. @throws GrpcError InvalidArgument (the name) */
  room(name: string): Promise<Room>;
  names(): Promise<string[]>;
  labels(name: string): Promise<Labels>;
  /** @throws GrpcError AlreadyExists, InvalidArgument */
  create(name: string, labels: Labels): Promise<void>;
  /** @throws GrpcError NotFound */
  setLabels(name: string, labels: Labels): Promise<void>;
  /** @throws GrpcError NotFound, FailedPrecondition (something is in it) */
  delete(name: string): Promise<void>;
  close(): Promise<void>;
}

interface LabelState extends Versioned {
  labels: Labels;
}

const VERSION = 1;

/** Opens the namespaces below `dir`. */
export async function openNamespaces(dir: string): Promise<Namespaces> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const rooms = new Map<string, Promise<Room>>();
  const pathOf = (name: string): string => join(dir, checkIdentifier('namespace', name));
  const labelPath = (name: string): string => join(pathOf(name), 'namespace.json');
  const exists = (name: string): boolean => existsSync(labelPath(name));
  const mustExist = (name: string): void => {
    if (!exists(name)) throw new GrpcError('NotFound', `namespace ${JSON.stringify(name)}: not found`);
  };
  const writeLabels = (name: string, labels: Labels): Promise<void> => {
    const state: LabelState = { version: VERSION, labels };
    return writeState(labelPath(name), state);
  };

  async function open(name: string): Promise<Room> {
    const path = pathOf(name);
    const room: Room = {
      content: await openContentStore(join(path, 'content')),
      images: await openImageStore(join(path, 'images')),
      snapshotters: openSnapshotters(path),
      containers: await openRecords<ContainerRecord>(join(path, 'containers'), 'container'),
      leases: await openRecords<LeaseRecord>(join(path, 'leases'), 'lease'),
    };
    if (!exists(name)) await writeLabels(name, {});
    await room.snapshotters.used();
    return room;
  }

  function room(name: string): Promise<Room> {
    let opened = rooms.get(name);
    if (!opened) {
      opened = open(name);
      rooms.set(name, opened);
      opened.catch(() => rooms.delete(name));
    }
    return opened;
  }

  return {
    room,
    names: async () => (await readdir(dir)).filter(exists).sort(),
    labels: async (name) => (await readState<LabelState>(labelPath(name), VERSION))?.labels ?? {},
    async create(name, labels) {
      pathOf(name);
      if (exists(name))
        throw new GrpcError('AlreadyExists', `namespace ${JSON.stringify(name)}: already exists`);
      await writeLabels(name, labels);
    },
    async setLabels(name, labels) {
      mustExist(name);
      await writeLabels(name, labels);
    },
    async delete(name) {
      mustExist(name);
      const { content, images, snapshotters, containers } = await room(name);
      const snapshots = await Promise.all([...(await snapshotters.used()).values()].map((one) => one.list()));
      const held = {
        containers: (await containers.list()).length,
        images: (await images.list()).length,
        blobs: (await content.list()).length,
        snapshots: snapshots.flat().length,
      };
      const left = Object.entries(held).filter(([, count]) => count > 0);
      if (left.length > 0)
        throw new GrpcError(
          'FailedPrecondition',
          `namespace ${JSON.stringify(name)} must be empty, but it still has ${left.map(([what, n]) => `${what} (${n})`).join(', ')}`,
        );
      await snapshotters.close();
      rooms.delete(name);
      await rm(pathOf(name), { recursive: true });
    },
    async close() {
      for (const opened of rooms.values()) await (await opened).snapshotters.close();
    },
  };
}
