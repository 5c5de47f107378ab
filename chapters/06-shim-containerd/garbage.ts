import {
  isStoreError,
  serializer,
  type ContentInfo,
  type Labels,
  type SnapshotInfo,
} from '../04-overlayfs/index.ts';
import { messageOf } from './container-record.ts';
import type { EventBus } from './event-bus.ts';
import type { Logger } from './logger.ts';
import type { Namespaces, Room } from './namespaces.ts';

/**
 * Removes what nothing needs, by marking and sweeping. Needed is what an image, a container or a lease names, what has the label
 * `containerd.io/gc.root`, and what those need in turn: content the blobs and snapshots that its labels `containerd.io/gc.ref.*` name, a
 * snapshot its parent. So a client that makes something holds it by a lease until something else names it.
 * Source: containerd, docs/garbage-collection.md.
 */
export async function collectGarbage(namespace: string, room: Room, events: EventBus): Promise<void> {
  // Leases first: a client lets go of its lease when something else names the thing, so that one of the two is seen.
  await expireLeases(room);
  const held = (await room.leases.list()).flatMap(({ resources }) => resources);
  const content = new Map((await room.content.list()).map((info) => [info.digest as string, info]));
  const snapshotters = await room.snapshotters.used();
  const snapshots = new Map<string, Found>();
  for (const [snapshotter, store] of snapshotters)
    for (const info of await store.list())
      snapshots.set(snapshotNode(snapshotter, info.name), { ...info, snapshotter });
  const roots = [
    ...held.flatMap(({ type, id }) => (type === 'content' ? contentNode(id) : heldSnapshot(type, id))),
    ...(await rootsOf(room, content, snapshots)),
  ];
  const needed = mark(roots, content, snapshots);

  // Children before their parents, which cannot be removed before.
  const depth = ({ snapshotter, parent }: Found): number => {
    const below = parent ? snapshots.get(snapshotNode(snapshotter, parent)) : undefined;
    return below ? 1 + depth(below) : 0;
  };
  const unneeded = [...snapshots].flatMap(([node, found]) => (needed.has(node) ? [] : [found]));
  for (const { snapshotter, name } of unneeded.sort((a, b) => depth(b) - depth(a)))
    if (await removed(snapshotters.get(snapshotter)!.remove(name)))
      events.tell(namespace, '/snapshot/remove', 'SnapshotRemove', { key: name });
  for (const digest of content.keys())
    if (!needed.has(contentNode(digest)) && (await removed(room.content.delete(digest))))
      events.tell(namespace, '/content/delete', 'ContentDelete', { digest });
}

/** Someone may have been faster, or have built on it meanwhile: then it stays, or is gone already. */
async function removed(removing: Promise<void>): Promise<boolean> {
  try {
    await removing;
    return true;
  } catch (error) {
    if (isStoreError(error, 'NOT_FOUND', 'FAILED_PRECONDITION')) return false;
    throw error;
  }
}

const contentNode = (digest: string): string => `content ${digest}`;
const snapshotNode = (snapshotter: string, key: string): string => `snapshot ${snapshotter} ${key}`;
/** A lease holds snapshots as `snapshots/SNAPSHOTTER`. */
const heldSnapshot = (type: string, key: string): string[] =>
  type.startsWith('snapshots/') ? [snapshotNode(type.slice('snapshots/'.length), key)] : [];

/** A snapshot, and who keeps it. */
type Found = SnapshotInfo & { snapshotter: string };

/** Everything that can be reached from the roots. */
function mark(
  roots: readonly string[],
  content: ReadonlyMap<string, ContentInfo>,
  snapshots: ReadonlyMap<string, Found>,
): Set<string> {
  //#region mark
  const needed = new Set<string>();
  const open = [...roots];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (needed.has(node)) continue;
    needed.add(node);
    const thing = content.get(node.replace(/^content /, '')) ?? snapshots.get(node);
    if (!thing) continue;
    open.push(...referencesIn(thing.labels));
    if ('parent' in thing && thing.parent) open.push(snapshotNode(thing.snapshotter, thing.parent));
  }
  return needed;
  //#endregion
}

/** What is needed for its own sake, beside what leases hold. */
async function rootsOf(
  { images, containers, content }: Room,
  blobs: ReadonlyMap<string, ContentInfo>,
  snapshots: ReadonlyMap<string, Found>,
): Promise<string[]> {
  const found: string[] = [];
  for (const { target, labels } of await images.list())
    found.push(contentNode(target.digest), ...referencesIn(labels));
  for (const { snapshotter, snapshotKey, labels } of (await containers.list()).map(messageOf))
    found.push(
      ...(snapshotKey ? [snapshotNode(snapshotter || 'overlayfs', snapshotKey)] : []),
      ...referencesIn(labels),
    );
  // A blob that someone is about to finish.
  for (const { expected } of await content.statuses()) if (expected) found.push(contentNode(expected));
  for (const { digest, labels } of blobs.values()) if (isRoot(labels)) found.push(contentNode(digest));
  for (const [node, { labels }] of snapshots) if (isRoot(labels)) found.push(node);
  return found;
}

const isRoot = (labels: Labels): boolean => 'containerd.io/gc.root' in labels;

/** `containerd.io/gc.ref.content.…` names a blob, `containerd.io/gc.ref.snapshot.SNAPSHOTTER…` a snapshot. */
function referencesIn(labels: Labels): string[] {
  return Object.entries(labels).flatMap(([label, value]) => {
    if (/^containerd\.io\/gc\.ref\.content([./]|$)/.test(label)) return [contentNode(value)];
    const snapshotter = /^containerd\.io\/gc\.ref\.snapshot\.([^./]+)/.exec(label)?.[1];
    if (snapshotter !== undefined) return [snapshotNode(snapshotter, value)];
    return [];
  });
}

/** A lease may say when it ends: that of a client which died does not hold for ever. */
async function expireLeases({ leases }: Room): Promise<void> {
  for (const { id, labels } of await leases.list()) {
    const expires = Date.parse(labels['containerd.io/gc.expire'] ?? '');
    if (expires < Date.now()) await leases.delete(id);
  }
}

export interface GarbageCollector {
  /** Collects in a namespace. Errors are only logged. */
  collect(namespace: string): Promise<void>;
  /** Runs `act` while nothing is collected in a namespace: what it puts under a lease is safe. */
  between<T>(namespace: string, act: () => Promise<T>): Promise<T>;
}

/** Collects garbage when told that there may be some. In a namespace one thing happens at a time. */
export function garbageCollector(namespaces: Namespaces, events: EventBus, log: Logger): GarbageCollector {
  const queues = new Map<string, ReturnType<typeof serializer>>();
  function between<T>(namespace: string, act: () => Promise<T>): Promise<T> {
    const queue = queues.get(namespace) ?? serializer();
    queues.set(namespace, queue);
    return queue(act);
  }
  return {
    between,
    collect: (namespace) =>
      between(namespace, async () =>
        collectGarbage(namespace, await namespaces.room(namespace), events),
      ).catch((error: Error) => log('warn', `garbage collection in ${namespace}: ${error.message}`)),
  };
}
