import {
  changesOf,
  layersOf,
  MEDIA_TYPE,
  type ContainerDefaults,
  type Digest,
} from '../04-overlayfs/index.ts';
import { changedConfig } from './config-changes.ts';
import { badParameter } from './api-error.ts';
import { flag, type Call } from './call.ts';
import { tell } from './container-events.ts';
import { whileFrozen } from './container-layer.ts';
import type { ContainerConfig, ContainerRecord } from './container.ts';
import type { Daemon } from './daemon.ts';
import { withLease } from './image-names.ts';
import { fullName, SNAPSHOTTER } from './images.ts';
import { makeImage, withStep, type NewLayer } from './make-image.ts';
import type { Route } from './router.ts';

/** What a container has changed, and an image made of that. */
export const commitRoutes: readonly Route[] = [
  ['GET', '/containers/{name}/changes', changes],
  ['POST', '/commit', commit],
];

/** Docker's numbers for changes. */
const KIND = { C: 0, A: 1, D: 2 };

async function changes(daemon: Daemon, call: Call): Promise<void> {
  const record = daemon.containers.find(call.params['name']!);
  const { mounts } = await daemon.containerd.snapshots.mounts({ snapshotter: SNAPSHOTTER, key: record.id });
  const found = changesOf(layersOf(mounts)).map(({ kind, path }) => ({ Path: path, Kind: KIND[kind] }));
  call.json(200, found.length > 0 ? found : null);
}

async function commit(daemon: Daemon, call: Call): Promise<void> {
  const { query } = call;
  const reference = query.get('container') ?? '';
  if (reference === '') throw badParameter('commit: which container? give container=NAME');
  const record = daemon.containers.find(reference);
  const [repository, tag] = [query.get('repo') ?? '', query.get('tag') ?? ''];
  const name = repository === '' ? undefined : fullName(tag === '' ? repository : `${repository}:${tag}`);
  const body = await call.body<ContainerConfig>();
  const config = changedConfig({ ...record.config, ...body } as ContainerDefaults, query.getAll('changes'));
  const pause = query.has('pause') ? flag(query, 'pause') : true;
  const id = await withLease(daemon, async (lease) => {
    const layer = await whileFrozen(daemon, record, pause, () => containerLayer(daemon, record, lease));
    const base = await imageOf(daemon, record);
    const comment = query.get('comment') ?? '';
    const step = {
      history: { created_by: (record.config.Cmd ?? []).join(' '), ...(comment && { comment }) },
      config,
      author: query.get('author') ?? '',
      container: { id: record.id, config: record.config as ContainerDefaults },
    };
    const made = withStep({ config: base.config, layers: base.manifest.layers }, step, layer);
    return makeImage(daemon, { ...made, name, parent: base.id }, lease);
  });
  tell(daemon, record, 'commit', { comment: query.get('comment') ?? '', imageID: id });
  call.json(201, { Id: id });
}

/** A container's upper directory as a layer, in the content store. */
export async function containerLayer(
  { containerd }: Daemon,
  { id }: Pick<ContainerRecord, 'id'>,
  lease: string,
): Promise<NewLayer> {
  const { mounts } = await containerd.snapshots.mounts({ snapshotter: SNAPSHOTTER, key: id });
  const { diff } = await containerd.diff.diff(
    { right: mounts, mediaType: MEDIA_TYPE.layer, ref: `layer-${id}-${lease}` },
    { lease },
  );
  const { digest, size, annotations } = diff!;
  return {
    descriptor: { mediaType: MEDIA_TYPE.layer, digest: digest as Digest, size },
    diffId: annotations['containerd.io/uncompressed'] as Digest,
  };
}

/** The image that a container was made of, also one that has lost its name meanwhile. */
async function imageOf(daemon: Daemon, { imageId }: ContainerRecord) {
  return daemon.images.find(imageId);
}
