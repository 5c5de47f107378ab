import type { LeaseResource } from './api-leases.ts';
import type { GarbageCollector } from './garbage.ts';
import type { Namespaces } from './namespaces.ts';

/** What other services need of leases. */
export interface Leases {
  /**
   * Puts something under a lease, whether it is there yet or not. Without a lease (empty), nothing happens.
   * @throws GrpcError NotFound when there is no such lease
   */
  hold(namespace: string, lease: string, type: string, id: string): Promise<void>;
}

export const leasesOf = (namespaces: Namespaces, garbage: GarbageCollector): Leases => ({
  async hold(namespace, lease, type, id) {
    if (lease)
      await garbage.between(namespace, () => addResource(namespaces, namespace, lease, { type, id }));
  },
});

/** Adds to what a lease holds; what it holds already is no error. @throws GrpcError NotFound */
export async function addResource(
  namespaces: Namespaces,
  namespace: string,
  lease: string,
  resource: LeaseResource,
): Promise<void> {
  const { leases } = await namespaces.room(namespace);
  await leases.update(lease, (old) => ({
    ...old,
    resources: [...without(old.resources, resource), resource],
  }));
}

export const without = (resources: LeaseResource[], { type, id }: LeaseResource): LeaseResource[] =>
  resources.filter((one) => one.type !== type || one.id !== id);
