import { randomBytes } from 'node:crypto';
import type { Input } from './api-common.ts';
import type { Lease } from './api-leases.ts';
import { fieldsOf, parseFilters } from './filters.ts';
import type { Handlers } from './grpc-server.ts';
import { addResource, without } from './leases.ts';
import type { LeaseRecord, Namespaces } from './namespaces.ts';
import { toTimestamp } from './protobuf.ts';

/** containerd.services.leases.v1: holds on what is being made. */
export function leasesService(
  namespaces: Namespaces,
  /** Told when something is no longer held, and may be garbage. */
  released: (namespace: string) => Promise<void>,
): Handlers['leases'] {
  const leasesOf = async (namespace: string) => (await namespaces.room(namespace)).leases;
  return {
    async create({ id: wanted, labels }, { namespace }) {
      const id = wanted || randomBytes(8).toString('hex');
      const lease = { id, labels, createdAt: new Date().toISOString(), resources: [] };
      return { lease: messageOf(await (await leasesOf(namespace)).create(id, lease)) };
    },
    async delete({ id }, { namespace }) {
      await (await leasesOf(namespace)).delete(id);
      await released(namespace);
      return {};
    },
    async list({ filters }, { namespace }) {
      const matches = parseFilters(filters);
      const all = await (await leasesOf(namespace)).list();
      return { leases: all.filter((lease) => matches(fieldsOf(lease))).map(messageOf) };
    },
    async addResource({ id, resource }, { namespace }) {
      await addResource(namespaces, namespace, id, resource);
      return {};
    },
    async deleteResource({ id, resource }, { namespace }) {
      await (
        await leasesOf(namespace)
      ).update(id, (old) => ({ ...old, resources: without(old.resources, resource) }));
      return {};
    },
    async listResources({ id }, { namespace }) {
      return { resources: (await (await leasesOf(namespace)).get(id)).resources };
    },
  };
}

const messageOf = ({ id, labels, createdAt }: LeaseRecord): Input<Lease> => ({
  id,
  labels,
  createdAt: toTimestamp(new Date(createdAt)),
});
