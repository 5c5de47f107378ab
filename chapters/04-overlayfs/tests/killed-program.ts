import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import {
  loadArchive,
  openContentStore,
  openImageStore,
  overlayfsSnapshotter,
  parseReference,
  pullImage,
  referenceString,
  unpackImage,
} from '../index.ts';

/** Pulls, loads, unpacks and removes, again and again, until it is killed (killed.test.ts). */
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
  // In the order in which nothing is named that is gone: names, then layers, then content.
  await images.delete(referenceString(reference));
  if (top) await snapshots.remove(top);
  await content.delete(target.digest);
}
