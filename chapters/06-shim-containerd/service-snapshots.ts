import type { Mount, SnapshotInfo, SnapshotKind, Snapshotter } from '../04-overlayfs/index.ts';
import type { Input, Mount as MountMessage } from './api-common.ts';
import type { SnapshotInfo as InfoMessage, SnapshotKind as KindName } from './api-snapshots.ts';
import type { EventBus } from './event-bus.ts';
import { fieldsOf, parseFilters } from './filters.ts';
import type { Handlers } from './grpc-server.ts';
import type { Leases } from './leases.ts';
import type { Namespaces } from './namespaces.ts';
import { toTimestamp } from './protobuf.ts';

const PAGE = 100;

/** containerd.services.snapshots.v1: layers, and what containers write on top of them. Each request names its snapshotter. */
export function snapshotsService(
  namespaces: Namespaces,
  leases: Leases,
  events: EventBus,
): Handlers['snapshots'] {
  const snapshotterOf = async (namespace: string, name: string): Promise<Snapshotter> =>
    (await namespaces.room(namespace)).snapshotters.get(name);
  const create =
    (kind: 'prepare' | 'view'): Handlers['snapshots']['prepare'] =>
    async ({ snapshotter, key, parent, labels }, { namespace, lease }) => {
      const store = await snapshotterOf(namespace, snapshotter);
      await leases.hold(namespace, lease, `snapshots/${snapshotter}`, key);
      const mounts = await store[kind](key, parent, labels);
      events.tell(namespace, '/snapshot/prepare', 'SnapshotPrepare', { key, parent });
      return { mounts: mounts.map(mountOf) };
    };
  return {
    prepare: create('prepare'),
    view: create('view'),
    async mounts({ snapshotter, key }, { namespace }) {
      const mounts = await (await snapshotterOf(namespace, snapshotter)).mounts(key);
      return { mounts: mounts.map(mountOf) };
    },
    async commit({ snapshotter, name, key, labels }, { namespace, lease }) {
      const store = await snapshotterOf(namespace, snapshotter);
      await leases.hold(namespace, lease, `snapshots/${snapshotter}`, name);
      await store.commit(name, key, labels);
      events.tell(namespace, '/snapshot/commit', 'SnapshotCommit', { key, name });
      return {};
    },
    async remove({ snapshotter, key }, { namespace }) {
      await (await snapshotterOf(namespace, snapshotter)).remove(key);
      events.tell(namespace, '/snapshot/remove', 'SnapshotRemove', { key });
      return {};
    },
    async stat({ snapshotter, key }, { namespace }) {
      return { info: infoOf(await (await snapshotterOf(namespace, snapshotter)).stat(key)) };
    },
    async update({ snapshotter, info, updateMask }, { namespace }) {
      const store = await snapshotterOf(namespace, snapshotter);
      return { info: infoOf(await store.update(info.name, info.labels, updateMask?.paths ?? [])) };
    },
    async *list({ snapshotter, filters }, { namespace }) {
      const matches = parseFilters(filters);
      const all = await (await snapshotterOf(namespace, snapshotter)).list();
      const infos = all.filter((info) => matches(fieldsOf(info))).map(infoOf);
      for (let at = 0; at < infos.length; at += PAGE) yield { info: infos.slice(at, at + PAGE) };
    },
    usage: async ({ snapshotter, key }, { namespace }) =>
      (await snapshotterOf(namespace, snapshotter)).usage(key),
    async cleanup({ snapshotter }, { namespace }) {
      // Nothing waits to be removed: folders go with their snapshots.
      await snapshotterOf(namespace, snapshotter);
      return {};
    },
  };
}

const KINDS: Record<SnapshotKind, KindName> = { view: 'VIEW', active: 'ACTIVE', committed: 'COMMITTED' };

const infoOf = ({ kind, createdAt, updatedAt, ...info }: SnapshotInfo): Input<InfoMessage> => ({
  ...info,
  kind: KINDS[kind],
  createdAt: toTimestamp(createdAt),
  updatedAt: toTimestamp(updatedAt),
});

const mountOf = (mount: Mount): Input<MountMessage> => ({ ...mount, target: '' });
