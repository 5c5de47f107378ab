import type { ContentInfo, Labels, SnapshotInfo } from '../04-overlayfs/index.ts';
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
  await expireLeases(room);
  const content = new Map((await room.content.list()).map((info) => [info.digest as string, info]));
  const snapshots = new Map((await room.snapshotter.list()).map((info) => [info.name, info]));
  const needed = await mark(room, content, snapshots);

  // Children before their parents, which cannot be removed before.
  const depth = (name: string): number => {
    const parent = snapshots.get(name)?.parent;
    return parent ? 1 + depth(parent) : 0;
  };
  const unneeded = [...snapshots.keys()].filter((name) => !needed.has(snapshotNode(name)));
  for (const key of unneeded.sort((a, b) => depth(b) - depth(a))) {
    await room.snapshotter.remove(key);
    events.tell(namespace, '/snapshot/remove', 'SnapshotRemove', { key });
  }
  for (const digest of content.keys())
    if (!needed.has(contentNode(digest))) {
      await room.content.delete(digest);
      events.tell(namespace, '/content/delete', 'ContentDelete', { digest });
    }
}

const contentNode = (digest: string): string => `content ${digest}`;
const snapshotNode = (key: string): string => `snapshot ${key}`;

/** Everything that can be reached from the roots. */
async function mark(
  room: Room,
  content: ReadonlyMap<string, ContentInfo>,
  snapshots: ReadonlyMap<string, SnapshotInfo>,
): Promise<Set<string>> {
  //#region mark
  const needed = new Set<string>();
  const open = await roots(room, content, snapshots);
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (needed.has(node)) continue;
    needed.add(node);
    const [kind, ...rest] = node.split(' ');
    const name = rest.join(' ');
    const thing = kind === 'content' ? content.get(name) : snapshots.get(name);
    if (!thing) continue;
    open.push(...referencesIn(thing.labels));
    if ('parent' in thing && thing.parent) open.push(snapshotNode(thing.parent));
  }
  return needed;
  //#endregion
}

async function roots(
  { images, containers, leases, content }: Room,
  blobs: ReadonlyMap<string, ContentInfo>,
  snapshots: ReadonlyMap<string, SnapshotInfo>,
): Promise<string[]> {
  const found: string[] = [];
  for (const { target, labels } of await images.list())
    found.push(contentNode(target.digest), ...referencesIn(labels));
  for (const { snapshotKey, labels } of (await containers.list()).map(messageOf))
    found.push(...(snapshotKey ? [snapshotNode(snapshotKey)] : []), ...referencesIn(labels));
  for (const { resources } of await leases.list())
    for (const { type, id } of resources) found.push(type === 'content' ? contentNode(id) : snapshotNode(id));
  // A blob that someone is about to finish.
  for (const { expected } of await content.statuses()) if (expected) found.push(contentNode(expected));
  for (const { digest, labels } of blobs.values()) if (isRoot(labels)) found.push(contentNode(digest));
  for (const { name, labels } of snapshots.values()) if (isRoot(labels)) found.push(snapshotNode(name));
  return found;
}

const isRoot = (labels: Labels): boolean => 'containerd.io/gc.root' in labels;

/** `containerd.io/gc.ref.content.…` names a blob, `containerd.io/gc.ref.snapshot.SNAPSHOTTER…` a snapshot. */
function referencesIn(labels: Labels): string[] {
  return Object.entries(labels).flatMap(([label, value]) => {
    if (/^containerd\.io\/gc\.ref\.content([./]|$)/.test(label)) return [contentNode(value)];
    if (/^containerd\.io\/gc\.ref\.snapshot\./.test(label)) return [snapshotNode(value)];
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

/** Collects garbage when told that there may be some, one collection of a namespace at a time. Errors are only logged. */
export function garbageCollector(
  namespaces: Namespaces,
  events: EventBus,
  log: Logger,
): (namespace: string) => Promise<void> {
  const running = new Map<string, Promise<void>>();
  return (namespace) => {
    const before = running.get(namespace) ?? Promise.resolve();
    const next = before
      .then(async () => collectGarbage(namespace, await namespaces.room(namespace), events))
      .catch((error: Error) => log('warn', `garbage collection in ${namespace}: ${error.message}`));
    running.set(namespace, next);
    return next;
  };
}
