import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readState, serializer, writeState, type Versioned } from '../04-overlayfs/index.ts';
import { GrpcError } from './grpc-errors.ts';

/** Records by their id, each a JSON file of its own, replaced whole. */
export interface RecordStore<T> {
  /** @throws GrpcError NotFound */
  get(id: string): Promise<T>;
  list(): Promise<T[]>;
  /** @throws GrpcError AlreadyExists, InvalidArgument (the id) */
  create(id: string, record: T): Promise<T>;
  /** Replaces a record by what `change` makes of it. @throws GrpcError NotFound */
  update(id: string, change: (old: T) => T): Promise<T>;
  /** @throws GrpcError NotFound */
  delete(id: string): Promise<void>;
}

interface State<T> extends Versioned {
  record: T;
}

const VERSION = 1;
const IDENTIFIER = /^[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*$/;
const LONGEST = 76;
/** A file's name has 255 bytes at most, and there is something to be added. */
const LONGEST_NAME = 200;

/**
 * An id or the name of a namespace, checked: it becomes part of paths.
 * Source: containerd, identifiers/validate.go.
 * @throws GrpcError InvalidArgument
 */
export function checkIdentifier(what: string, id: string): string {
  if (id.length > LONGEST || !IDENTIFIER.test(id))
    throw new GrpcError(
      'InvalidArgument',
      `${what} ${JSON.stringify(id)} is invalid: 1 to ${LONGEST} letters and digits, with single . _ or - between them`,
    );
  return id;
}

/**
 * Opens the records in `dir`, making it where there is none. An id may be any text that makes a file's name.
 * @param what the word for one of them in errors: `container`
 */
export async function openRecords<T>(dir: string, what: string): Promise<RecordStore<T>> {
  await mkdir(dir, { recursive: true });
  const serially = serializer();
  const records = new Map<string, T>();
  for (const file of await readdir(dir)) {
    // A file that a crash left behind before it had its name ends otherwise.
    if (!file.endsWith('.json')) {
      await rm(join(dir, file), { force: true });
      continue;
    }
    const state = await readState<State<T>>(join(dir, file), VERSION);
    if (state) records.set(decodeURIComponent(file.slice(0, -'.json'.length)), state.record);
  }

  const path = (id: string): string => join(dir, `${encodeURIComponent(id)}.json`);
  const find = (id: string): T => {
    const record = records.get(id);
    if (record === undefined) throw new GrpcError('NotFound', `${what} ${JSON.stringify(id)}: not found`);
    return record;
  };
  async function save(id: string, record: T): Promise<T> {
    const state: State<T> = { version: VERSION, record };
    await writeState(path(id), state);
    records.set(id, record);
    return record;
  }

  return {
    get: async (id) => find(id),
    list: async () => [...records.values()],
    create: (id, record) =>
      serially(async () => {
        if (!id || encodeURIComponent(id).length > LONGEST_NAME)
          throw new GrpcError(
            'InvalidArgument',
            `${what} ${JSON.stringify(id)}: its id is empty or too long`,
          );
        if (records.has(id))
          throw new GrpcError('AlreadyExists', `${what} ${JSON.stringify(id)}: already exists`);
        return save(id, record);
      }),
    update: (id, change) => serially(async () => save(id, change(find(id)))),
    delete: (id) =>
      serially(async () => {
        find(id);
        await rm(path(id), { force: true });
        records.delete(id);
      }),
  };
}
