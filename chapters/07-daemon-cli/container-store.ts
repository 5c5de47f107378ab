import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readState, serializer, writeState } from '../04-overlayfs/index.ts';
import { badParameter, conflict, notFound } from './api-error.ts';
import type { ContainerRecord } from './container.ts';
import { log } from './log.ts';

const FILE = 'config.json';

/** The containers that there are. Each has a folder, in which its record is a file that is written whole or not at all. */
export interface ContainerStore {
  all(): ContainerRecord[];
  /**
   * The container of this name, id, or beginning of an id.
   * @throws ApiError 404 when there is none, 400 when several ids begin so
   */
  find(reference: string): ContainerRecord;
  /** @throws ApiError 409 when the name is taken, 400 when it is no name */
  add(record: ContainerRecord): Promise<void>;
  /** Writes what has changed in a record of this store. */
  save(record: ContainerRecord): Promise<void>;
  /** @throws ApiError 409 when the name is taken, 400 when it is no name */
  rename(record: ContainerRecord, name: string): Promise<void>;
  /** Forgets a container, and removes its folder. */
  remove(record: ContainerRecord): Promise<void>;
  /** The container's folder: record, journal, files that are bound into it. */
  directory(id: string): string;
  /** Where its output is kept. */
  journal(id: string): string;
}

/** Opens the store in `dir`, which is made if need be. A record that cannot be read is reported and left alone. */
export async function openContainerStore(dir: string): Promise<ContainerStore> {
  await mkdir(dir, { recursive: true, mode: 0o710 });
  const records = new Map<string, ContainerRecord>();
  for (const id of await readdir(dir)) {
    try {
      const record = await readState<ContainerRecord>(join(dir, id, FILE), 1);
      if (record) records.set(id, record);
      else await rm(join(dir, id), { recursive: true, force: true }); // died while it was being made
    } catch (error) {
      log('error', `container ${id} cannot be read and is left alone`, error);
    }
  }
  const writers = new Map<string, ReturnType<typeof serializer>>();

  const directory = (id: string): string => join(dir, id);
  const save = (record: ContainerRecord): Promise<void> => {
    const serially = writers.get(record.id) ?? serializer();
    writers.set(record.id, serially);
    return serially(async () => {
      if (records.has(record.id)) await writeState(join(directory(record.id), FILE), record);
    });
  };
  const checkName = (name: string): void => {
    if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name))
      throw badParameter(`Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
    const owner = [...records.values()].find((record) => record.name === name);
    if (owner)
      throw conflict(
        `Conflict. The container name "/${name}" is already in use by container "${owner.id}". You have to remove (or rename) that container to be able to reuse that name.`,
      );
  };

  return {
    all: () => [...records.values()],
    find: (reference) => findContainer([...records.values()], reference),
    add: async (record) => {
      checkName(record.name);
      records.set(record.id, record);
      try {
        await mkdir(directory(record.id), { mode: 0o710 });
        await save(record);
      } catch (error) {
        records.delete(record.id);
        await rm(directory(record.id), { recursive: true, force: true });
        throw error;
      }
    },
    save,
    rename: async (record, name) => {
      checkName(name);
      record.name = name;
      await save(record);
    },
    remove: async (record) => {
      await rm(directory(record.id), { recursive: true, force: true });
      records.delete(record.id);
      writers.delete(record.id);
    },
    directory,
    journal: (id) => join(directory(id), `${id}.journal`),
  };
}

/** By full id, then by name, then by the beginning of an id: Docker's order. */
export function findContainer(records: readonly ContainerRecord[], reference: string): ContainerRecord {
  const name = reference.replace(/^\//, '');
  const exact = records.find((r) => r.id === reference) ?? records.find((r) => r.name === name);
  if (exact) return exact;
  const begins = /^[0-9a-f]+$/.test(reference) ? records.filter((r) => r.id.startsWith(reference)) : [];
  if (begins.length > 1)
    throw badParameter(
      `multiple IDs found with provided prefix: ${reference}: ${begins.map((r) => r.id.slice(0, 12)).join(', ')}`,
    );
  if (begins.length === 0) throw notFound(`No such container: ${reference}`);
  return begins[0]!;
}
