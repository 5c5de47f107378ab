import { join } from 'node:path';
import { alreadyExists, invalidArgument, notFound } from './errors.ts';
import type { Descriptor } from './image.ts';
import { updatedLabels, type Labels } from './labels.ts';
import { readState, serializer, writeState, type Versioned } from './state-file.ts';

/** A name and the content that it stands for. */
export interface Image {
  /** The full reference: `docker.io/library/busybox:latest`. The store itself takes any text. */
  name: string;
  /** The manifest (or index) in the content store. */
  target: Descriptor;
  labels: Labels;
  createdAt: Date;
  updatedAt: Date;
}

/** Names of images, as in containerd's images service. */
export interface ImageStore {
  /** @throws StoreError NOT_FOUND */
  get(name: string): Promise<Image>;
  list(): Promise<Image[]>;
  /** @throws StoreError ALREADY_EXISTS */
  create(name: string, target: Descriptor, labels?: Labels): Promise<Image>;
  /** Points a name elsewhere, or changes labels (see `updatedLabels`). @throws StoreError NOT_FOUND */
  update(
    name: string,
    change: { target?: Descriptor; labels?: Labels },
    fieldpaths?: readonly string[],
  ): Promise<Image>;
  /** Creates a name or points it elsewhere. */
  put(name: string, target: Descriptor, labels?: Labels): Promise<Image>;
  /** Forgets a name; the content stays. @throws StoreError NOT_FOUND */
  delete(name: string): Promise<void>;
}

interface ImageRecord {
  target: Descriptor;
  labels: Labels;
  createdAt: string;
  updatedAt: string;
}

interface State extends Versioned {
  images: Record<string, ImageRecord>;
}

const VERSION = 1;

/** Opens the names in `dir`: one file, `images.json`, replaced whole. One process at a time. */
export async function openImageStore(dir: string): Promise<ImageStore> {
  const path = join(dir, 'images.json');
  const serially = serializer();
  let images = (await readState<State>(path, VERSION))?.images ?? {};

  const find = (name: string): ImageRecord => {
    const record = Object.hasOwn(images, name) ? images[name] : undefined;
    if (!record) throw notFound(`image ${JSON.stringify(name)}`);
    return record;
  };

  async function save(next: Record<string, ImageRecord>): Promise<void> {
    const state: State = { version: VERSION, images: next };
    await writeState(path, state);
    images = next;
  }

  async function create(name: string, target: Descriptor, labels: Labels = {}): Promise<Image> {
    if (!name) throw invalidArgument('an image needs a name that is not empty');
    if (Object.hasOwn(images, name)) throw alreadyExists(`image ${JSON.stringify(name)}`);
    const now = new Date().toISOString();
    await save({ ...images, [name]: { target, labels, createdAt: now, updatedAt: now } });
    return imageOf(name, find(name));
  }

  async function update(
    name: string,
    { target, labels }: { target?: Descriptor; labels?: Labels },
    fieldpaths?: readonly string[],
  ): Promise<Image> {
    const old = find(name);
    const record: ImageRecord = {
      target: target ?? old.target,
      labels: labels ? updatedLabels(old.labels, labels, fieldpaths) : old.labels,
      createdAt: old.createdAt,
      updatedAt: new Date().toISOString(),
    };
    await save({ ...images, [name]: record });
    return imageOf(name, record);
  }

  return {
    get: async (name) => imageOf(name, find(name)),
    list: async () => Object.entries(images).map(([name, record]) => imageOf(name, record)),
    create: (name, target, labels) => serially(() => create(name, target, labels)),
    update: (name, change, fieldpaths) => serially(() => update(name, change, fieldpaths)),
    put: (name, target, labels) =>
      serially(() =>
        Object.hasOwn(images, name)
          ? update(name, { target, ...(labels && { labels }) })
          : create(name, target, labels),
      ),
    delete: (name) =>
      serially(async () => {
        find(name);
        const { [name]: _, ...others } = images;
        await save(others);
      }),
  };
}

const imageOf = (name: string, { target, labels, createdAt, updatedAt }: ImageRecord): Image => ({
  name,
  target,
  labels: { ...labels },
  createdAt: new Date(createdAt),
  updatedAt: new Date(updatedAt),
});
