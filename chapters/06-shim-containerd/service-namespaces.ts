import { updatedLabels } from '../04-overlayfs/index.ts';
import type { EventBus } from './event-bus.ts';
import { GrpcError } from './grpc-errors.ts';
import type { Handlers } from './grpc-server.ts';
import type { Namespaces } from './namespaces.ts';

/** containerd.services.namespaces.v1 */
export function namespacesService(namespaces: Namespaces, events: EventBus): Handlers['namespaces'] {
  return {
    // containerd answers for namespaces that do not exist too: clients ask for their labels before they use them.
    get: async ({ name }) => ({ namespace: { name, labels: await namespaces.labels(name) } }),
    async list() {
      const names = await namespaces.names();
      return {
        namespaces: await Promise.all(
          names.map(async (name) => ({ name, labels: await namespaces.labels(name) })),
        ),
      };
    },
    async create({ namespace: { name, labels } }) {
      await namespaces.create(name, labels);
      events.tell(name, '/namespaces/create', 'NamespaceCreate', { name, labels });
      return { namespace: { name, labels } };
    },
    async update({ namespace, updateMask }) {
      const { name } = namespace;
      const paths = updateMask?.paths ?? [];
      if (!(await namespaces.names()).includes(name))
        throw new GrpcError('NotFound', `namespace ${JSON.stringify(name)}: not found`);
      const labels = updatedLabels(await namespaces.labels(name), namespace.labels, paths);
      await namespaces.setLabels(name, labels);
      events.tell(name, '/namespaces/update', 'NamespaceUpdate', { name, labels });
      return { namespace: { name, labels } };
    },
    async delete({ name }) {
      await namespaces.delete(name);
      events.tell(name, '/namespaces/delete', 'NamespaceDelete', { name });
      return {};
    },
  };
}
