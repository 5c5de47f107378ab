import { createReadStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  chainIds,
  diffLayer,
  keepTogether,
  layersOf,
  loadArchive,
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
  type Descriptor,
  type Digest,
} from '../index.ts';

/** Pulls, loads, unpacks, commits, removes and prunes, again and again, until it is killed (killed.test.ts). */
const [dir = '', archive = '', name = ''] = process.argv.slice(2);
const content = await openContentStore(join(dir, 'content'));
const images = await openImageStore(dir);
const snapshots = await overlayfsSnapshotter(join(dir, 'snapshots'));
process.stdout.write('ready\n');
for (;;) {
  const reference = parseReference(name);
  const { target } = await pullImage(content, reference, {
    platform: { os: 'linux', architecture: 'amd64' },
  });
  await images.put(referenceString(reference), target);
  const top = await unpackImage({ content, snapshots }, target);
  for (const loaded of await loadArchive(createReadStream(archive), { content, images }))
    await unpackImage({ content, snapshots }, loaded.target);
  await commit(target, top);
  // In the order in which nothing is named that is gone: names, then layers, then content.
  await images.delete(referenceString(reference));
  await images.delete('docker.io/library/committed:1');
  // Also those that earlier runs committed and were killed over.
  for (const { name, parent } of await snapshots.list()) if (parent === top) await snapshots.remove(name);
  if (top) await snapshots.remove(top);
  await prune();
}

/** What a container has written becomes a layer, the layer an image, the image a name. */
async function commit(target: Descriptor, top: Digest | ''): Promise<void> {
  const { manifest, config } = await resolveImage(content, target);
  // What an earlier run left when it was killed.
  for (const { name } of await snapshots.list()) if (name === 'container') await snapshots.remove(name);
  const stack = layersOf(await snapshots.prepare('container', top));
  writeFileSync(join(stack.upper, 'written'), String(process.pid));
  const { digest, size } = await writeBlob(content, diffLayer(stack));
  const diff_ids = [...config.rootfs.diff_ids, digest];
  const put = async (mediaType: string, value: object): Promise<Descriptor> => {
    const { digest, size } = await writeBlob(content, Buffer.from(JSON.stringify(value)));
    return { mediaType, digest, size };
  };
  const next = {
    ...manifest,
    config: await put(MEDIA_TYPE.config, { ...config, rootfs: { ...config.rootfs, diff_ids } }),
    layers: [...manifest.layers, { mediaType: MEDIA_TYPE.layer, digest, size }],
  };
  await images.put('docker.io/library/committed:1', await put(MEDIA_TYPE.manifest, next));
  const name = chainIds(diff_ids).at(-1)!;
  if ((await snapshots.list()).some((other) => other.name === name)) await snapshots.remove('container');
  else await snapshots.commit(name, 'container');
}

/** Deletes what no name leads to. */
async function prune(): Promise<void> {
  const used = new Set<Digest>();
  for (const { target } of await images.list())
    for (const digest of await keepTogether(content, target)) used.add(digest);
  for (const { digest } of await content.list()) if (!used.has(digest)) await content.delete(digest);
}
