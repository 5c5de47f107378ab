import { createHash } from 'node:crypto';
import {
  decompress,
  hostPlatform,
  MEDIA_TYPE,
  readArchive,
  readTar,
  saveArchive,
  writeBlob,
  type Descriptor,
  type Digest,
  type ImageConfig,
} from '../04-overlayfs/index.ts';
import { badParameter } from './api-error.ts';
import { send, type Call } from './call.ts';
import { contentOf } from './content-client.ts';
import type { Daemon } from './daemon.ts';
import { changedConfig } from './config-changes.ts';
import { labelReferences, unpack } from './image-content.ts';
import { keepNameless, nameImage, shown, withLease } from './image-names.ts';
import { findImage, fullName, isInternal } from './images.ts';
import { explain } from './log.ts';
import { makeImage, withStep } from './make-image.ts';
import { withProgress } from './progress-stream.ts';
import type { Route } from './router.ts';

/** Images as archives, out and in. */
export const saveRoutes: readonly Route[] = [
  ['POST', '/images/load', load],
  ['GET', '/images/get', save],
  ['GET', '/images/{name...}/get', save],
];

async function load(daemon: Daemon, call: Call): Promise<void> {
  const { containerd } = daemon;
  await withLease(daemon, async (lease) => {
    const content = contentOf(containerd, lease);
    const loaded = await readArchive(call.request, content).catch((error: unknown) => {
      throw badParameter(`the archive cannot be read: ${explain(error)}`, error);
    });
    await withProgress(call, async ({ say }) => {
      for (const { names, target, imageId } of loaded) {
        const config = await daemon.images.json<ImageConfig>(imageId);
        const { manifest } = await daemon.images.resolve(target);
        await unpack(containerd, { manifest, config }, lease);
        await labelReferences(containerd, { target, manifest, config });
        for (const name of names) {
          const before = await nameImage(daemon, name, target);
          if (before && before.id !== imageId)
            say({
              stream: `The image ${shown(name)} already exists, renaming the old one with ID ${before.id} to empty string\n`,
            });
          say({ stream: `Loaded image: ${shown(name)}\n` });
        }
        if (names.length === 0) {
          await keepNameless(daemon, target);
          say({ stream: `Loaded image ID: ${imageId}\n` });
        }
        daemon.events.publish('image', 'load', imageId, { name: names[0] ? shown(names[0]) : imageId });
      }
    });
  });
}

/** `docker save`: what is asked for by a name is named in the archive, what is asked for by id is not; a repository stands for all its tags. */
async function save(daemon: Daemon, call: Call): Promise<void> {
  const one = call.params['name'];
  const asked = one === undefined ? call.query.getAll('names') : [one];
  if (asked.length === 0) throw badParameter('no image names: give names=NAME');
  const all = await daemon.images.all();
  const chosen = new Map<string, { names: Set<string>; target: Descriptor }>();
  for (const reference of asked) {
    const image = findImage(all, reference);
    const entry = chosen.get(image.id) ?? { names: new Set<string>(), target: image.target as Descriptor };
    const isId = /^(sha256:)?[0-9a-f]{1,64}$/.test(reference) && !image.names.includes(fullName(reference));
    const [name] = isId || reference.includes('@') ? [] : [fullName(reference)];
    if (name && !isInternal(name)) entry.names.add(name);
    chosen.set(image.id, entry);
  }
  const images = [...chosen.values()].map(({ names, target }) => ({ names: [...names], target }));
  await send(
    call.stream(200, 'application/x-tar'),
    saveArchive(contentOf(daemon.containerd), images),
    call.gone,
  );
}

/** `docker import`: a tar of a file system becomes an image of one layer. */
export async function importImage(daemon: Daemon, call: Call): Promise<void> {
  const { query, request } = call;
  const source = query.get('fromSrc') ?? '';
  if (source === '') throw badParameter('nothing to fetch: give fromImage or fromSrc');
  if (source !== '-')
    throw badParameter(
      `import from ${source}: the client fetches it and sends it (curl URL | docker import -)`,
    );
  const repository = query.get('repo') ?? '';
  const tag = query.get('tag') ?? '';
  const name = repository === '' ? undefined : fullName(tag === '' ? repository : `${repository}:${tag}`);
  const config = changedConfig({}, query.getAll('changes'));
  const [, architecture] = (query.get('platform') ?? '').split('/');
  await withLease(daemon, async (lease) => {
    const hash = createHash('sha256');
    const content = contentOf(daemon.containerd, lease);
    const blob = await writeBlob(content, checkedTar(request, hash)).catch((error: unknown) => {
      throw badParameter(`import: ${explain(error)}`, error);
    });
    const layer = {
      descriptor: { mediaType: MEDIA_TYPE.layer, digest: blob.digest, size: blob.size },
      diffId: `sha256:${hash.digest('hex')}` as Digest,
    };
    const empty: ImageConfig = {
      ...hostPlatform(),
      ...(architecture && { architecture }),
      rootfs: { type: 'layers', diff_ids: [] },
    };
    const comment = query.get('message') || 'Imported from -';
    const made = withStep({ config: empty, layers: [] }, { history: { comment }, config }, layer);
    const id = await makeImage(daemon, { ...made, name }, lease);
    daemon.events.publish('image', 'import', id, { name: name ? shown(name) : id });
    await withProgress(call, async ({ say }) => say({ status: id }));
  });
}

/** The tar inside, uncompressed, if it is one: it goes into the store as it comes, while it is being looked at. */
async function* checkedTar(
  source: AsyncIterable<Uint8Array>,
  hash: { update(data: Uint8Array): unknown },
): AsyncGenerator<Uint8Array> {
  const passed: Uint8Array[] = [];
  async function* tapped(): AsyncGenerator<Uint8Array> {
    for await (const chunk of decompress(source)) {
      hash.update(chunk);
      passed.push(chunk);
      yield chunk;
    }
  }
  for await (const { body } of readTar(tapped())) {
    yield* passed.splice(0);
    for await (const _ of body) yield* passed.splice(0);
  }
  yield* passed.splice(0);
}
