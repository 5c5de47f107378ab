import { changedTree, changesOf, type ContainerDefaults } from '../04-overlayfs/index.ts';
import { changedConfig } from './config-changes.ts';
import { badParameter } from './api-error.ts';
import { flag, type Call } from './call.ts';
import { tell } from './container-events.ts';
import { whileFrozen } from './container-layer.ts';
import type { ContainerConfig, ContainerRecord } from './container.ts';
import type { Daemon } from './daemon.ts';
import { withLease } from './image-names.ts';
import { fullName } from './images.ts';
import { initKey } from './init-layer.ts';
import { layerOfSnapshot, withBelow } from './layer-below.ts';
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
  const { snapshots, snapshotter } = daemon.containerd;
  const { mounts } = await snapshots.mounts({ snapshotter, key: record.id });
  const changed = await withLease(daemon, (lease) =>
    withBelow(daemon.containerd, { mounts, parent: initKey(record.id) }, lease, async (below) =>
      changesOf(changedTree(mounts, below)),
    ),
  );
  const found = changed.map(({ kind, path }) => ({ Path: path, Kind: KIND[kind] }));
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

/** What a container has changed as a layer, in the content store. */
export async function containerLayer(
  { containerd }: Pick<Daemon, 'containerd'>,
  { id }: Pick<ContainerRecord, 'id'>,
  lease: string,
): Promise<NewLayer> {
  const { snapshots, snapshotter } = containerd;
  const { mounts } = await snapshots.mounts({ snapshotter, key: id });
  return layerOfSnapshot(containerd, { mounts, parent: initKey(id) }, `layer-${id}-${lease}`, lease);
}

/** The image that a container was made of, also one that has lost its name meanwhile. */
async function imageOf(daemon: Daemon, { imageId }: ContainerRecord) {
  return daemon.images.find(imageId);
}
