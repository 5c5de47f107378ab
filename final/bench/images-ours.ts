import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  changesOf,
  diffLayer,
  MEDIA_TYPE,
  openContentStore,
  openImageStore,
  overlayfsSnapshotter,
  parseReference,
  pullImage,
  referenceString,
  resolveImage,
  unpackImage,
  writeBlob,
  type ContentStore,
  type Descriptor,
  type ImageConfig,
  type ImageStore,
  type Manifest,
} from '../../chapters/04-overlayfs/index.ts';

// One step of the benchmark as a program of its own, bundled as the engine's are: so that what it takes up is its own.
const [verb = '', dir = '', name = '', ...paths] = process.argv.slice(2);
const reference = parseReference(name);

interface Stores {
  content: ContentStore;
  images: ImageStore;
}

const target = async ({ images }: Stores): Promise<Descriptor> =>
  (await images.get(referenceString(reference))).target;

async function unpack(stores: Stores): Promise<void> {
  const snapshots = await overlayfsSnapshotter(join(dir, 'snapshots'));
  try {
    await unpackImage({ content: stores.content, snapshots }, await target(stores));
  } finally {
    await snapshots.close();
  }
}

/** A layer of what is in a directory, and the image with it on top. */
async function commit(stores: Stores, upper: string): Promise<void> {
  const { content, images } = stores;
  const { manifest, config } = await resolveImage(content, await target(stores));
  const { digest, size } = await writeBlob(content, diffLayer(upper));
  const put = async (mediaType: string, value: object): Promise<Descriptor> => {
    const { digest, size } = await writeBlob(content, Buffer.from(JSON.stringify(value)));
    return { mediaType, digest, size };
  };
  const whole: ImageConfig = {
    ...config,
    rootfs: { type: 'layers', diff_ids: [...config.rootfs.diff_ids, digest] },
  };
  const next: Manifest = {
    ...manifest,
    config: await put(MEDIA_TYPE.config, whole),
    layers: [...manifest.layers, { mediaType: MEDIA_TYPE.layer, digest, size }],
  };
  await images.put(`${referenceString(reference)}-committed`, await put(MEDIA_TYPE.manifest, next));
}

const verbs: Record<string, (stores: Stores) => Promise<unknown>> = {
  pull: async ({ content, images }) =>
    images.put(referenceString(reference), (await pullImage(content, reference)).target),
  unpack,
  commit: (stores) => commit(stores, paths[0]!),
  diff: async () =>
    console.error(`${changesOf({ upper: paths[0]!, lowers: paths.slice(1) }).length} changes`),
};

async function main(): Promise<void> {
  await verbs[verb]!({
    content: await openContentStore(join(dir, 'content')),
    images: await openImageStore(dir),
  });
  process.stdout.write(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]!);
}

void main();
