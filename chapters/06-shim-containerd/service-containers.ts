import { updatedLabels } from '../04-overlayfs/index.ts';
import { recordOf, messageOf } from './container-record.ts';
import type { Container } from './api-containers.ts';
import type { EventBus } from './event-bus.ts';
import { fieldsOf, parseFilters } from './filters.ts';
import { GrpcError } from './grpc-errors.ts';
import type { Handlers } from './grpc-server.ts';
import type { Namespaces } from './namespaces.ts';
import { checkIdentifier } from './record-store.ts';
import { toTimestamp } from './protobuf.ts';

/** containerd.services.containers.v1: records of containers. Nothing runs for them; see service-tasks.ts. */
export function containersService(
  namespaces: Namespaces,
  events: EventBus,
  /** Whether something runs for a container: its record must stay then. */
  hasTask: (namespace: string, id: string) => boolean,
): Handlers['containers'] {
  const containersOf = async (namespace: string) => (await namespaces.room(namespace)).containers;
  async function list(namespace: string, filters: string[]): Promise<Container[]> {
    const matches = parseFilters(filters);
    const all = (await (await containersOf(namespace)).list()).map(messageOf);
    return all.filter((container) => matches(fieldsOf(container)));
  }
  return {
    async get({ id }, { namespace }) {
      return { container: messageOf(await (await containersOf(namespace)).get(id)) };
    },
    list: async ({ filters }, { namespace }) => ({ containers: await list(namespace, filters) }),
    async *listStream({ filters }, { namespace }) {
      for (const container of await list(namespace, filters)) yield { container };
    },
    async create({ container }, { namespace }) {
      if (!container) throw new GrpcError('InvalidArgument', 'container: missing');
      if (!container.runtime?.name)
        throw new GrpcError('InvalidArgument', 'container.Runtime.Name must be set');
      if (!container.spec) throw new GrpcError('InvalidArgument', 'container.Spec must be set');
      checkIdentifier('container', container.id);
      const now = toTimestamp(new Date());
      const created = { ...container, createdAt: now, updatedAt: now };
      await (await containersOf(namespace)).create(created.id, recordOf(created));
      const { id, image, runtime } = created;
      events.tell(namespace, '/containers/create', 'ContainerCreate', { id, image, runtime });
      return { container: created };
    },
    async update({ container, updateMask }, { namespace }) {
      if (!container?.id) throw new GrpcError('InvalidArgument', 'container.ID must be set');
      const updated = messageOf(
        await (
          await containersOf(namespace)
        ).update(container.id, (old) =>
          recordOf({
            ...changed(messageOf(old), container, updateMask?.paths ?? []),
            updatedAt: toTimestamp(new Date()),
          }),
        ),
      );
      const { id, image, labels, snapshotKey } = updated;
      events.tell(namespace, '/containers/update', 'ContainerUpdate', { id, image, labels, snapshotKey });
      return { container: updated };
    },
    async delete({ id }, { namespace }) {
      const containers = await containersOf(namespace);
      await containers.get(id);
      if (hasTask(namespace, id))
        throw new GrpcError(
          'FailedPrecondition',
          `cannot delete container ${id} while its task exists: delete the task first`,
        );
      await containers.delete(id);
      events.tell(namespace, '/containers/delete', 'ContainerDelete', { id });
      return {};
    },
  };
}

const REPLACEABLE = ['spec', 'image', 'snapshotKey', 'snapshotter', 'runtime'] as const;

/** A container after an update: what the paths name is taken from `update`; without paths, everything. */
function changed(old: Container, update: Container, paths: readonly string[]): Container {
  if (paths.length === 0) return { ...update, createdAt: old.createdAt };
  let result = { ...old };
  for (const path of paths) {
    const extension = /^extensions\.(.+)$/s.exec(path)?.[1];
    const field = path.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const name = REPLACEABLE.find((one) => one.toLowerCase() === field.toLowerCase());
    if (path === 'labels' || path.startsWith('labels.'))
      result.labels = updatedLabels(result.labels, update.labels, [path]);
    else if (path === 'extensions') result.extensions = update.extensions;
    else if (extension && update.extensions[extension])
      result.extensions = { ...result.extensions, [extension]: update.extensions[extension] };
    else if (name) result = { ...result, [name]: update[name] };
    else throw new GrpcError('InvalidArgument', `cannot update ${JSON.stringify(path)} field on "${old.id}"`);
  }
  return result;
}
