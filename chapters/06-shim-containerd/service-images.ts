import type { Image } from '../04-overlayfs/index.ts';
import { parseDigest, updatedLabels } from '../04-overlayfs/index.ts';
import type { Descriptor, Input } from './api-common.ts';
import type { Image as ImageMessage } from './api-images.ts';
import type { EventBus } from './event-bus.ts';
import { fieldsOf, parseFilters } from './filters.ts';
import { GrpcError } from './grpc-errors.ts';
import type { Handlers } from './grpc-server.ts';
import type { Namespaces } from './namespaces.ts';
import { toTimestamp } from './protobuf.ts';

/** containerd.services.images.v1: names for manifests that are in the content store. */
export function imagesService(
  namespaces: Namespaces,
  events: EventBus,
  /** Told when something is no longer named, and may be garbage. */
  released: (namespace: string) => Promise<void>,
): Handlers['images'] {
  const imagesOf = async (namespace: string) => (await namespaces.room(namespace)).images;
  return {
    get: async ({ name }, { namespace }) => ({
      image: messageOf(await (await imagesOf(namespace)).get(name)),
    }),
    async list({ filters }, { namespace }) {
      const matches = parseFilters(filters);
      const images = await (await imagesOf(namespace)).list();
      return { images: images.filter((image) => matches(fieldsOf(image))).map(messageOf) };
    },
    async create({ image }, { namespace }) {
      const { name, labels, target } = checked(image);
      const created = await (await imagesOf(namespace)).create(name, target, labels);
      events.tell(namespace, '/images/create', 'ImageCreate', { name, labels });
      return { image: messageOf(created) };
    },
    async update({ image, updateMask }, { namespace }) {
      const paths = updateMask?.paths ?? [];
      const images = await imagesOf(namespace);
      const all = paths.length === 0;
      const labelPaths = paths.filter((path) => path !== 'target');
      const old = await images.get(image?.name ?? '');
      const target = all || paths.includes('target') ? checked(image).target : old.target;
      const labels =
        all || labelPaths.length > 0 ? updatedLabels(old.labels, image.labels, labelPaths) : old.labels;
      const updated = await images.update(image.name, { target, labels });
      events.tell(namespace, '/images/update', 'ImageUpdate', { name: image.name, labels });
      return { image: messageOf(updated) };
    },
    async delete({ name }, { namespace }) {
      await (await imagesOf(namespace)).delete(name);
      events.tell(namespace, '/images/delete', 'ImageDelete', { name });
      await released(namespace);
      return {};
    },
  };
}

function checked(image: ImageMessage | null): {
  name: string;
  labels: Record<string, string>;
  target: Image['target'];
} {
  if (!image?.name) throw new GrpcError('InvalidArgument', 'image.name must be set');
  const { name, labels, target } = image;
  if (!target?.mediaType)
    throw new GrpcError('InvalidArgument', `image ${name}: target.mediaType must be set`);
  if (!(target.size > 0))
    throw new GrpcError('InvalidArgument', `image ${name}: target.size must be more than 0`);
  return { name, labels, target: { ...target, digest: parseDigest(target.digest) } };
}

const messageOf = ({ name, labels, target, createdAt, updatedAt }: Image): Input<ImageMessage> => ({
  name,
  labels,
  target: descriptorOf(target),
  createdAt: toTimestamp(createdAt),
  updatedAt: toTimestamp(updatedAt),
});

const descriptorOf = ({ mediaType, digest, size, annotations = {} }: Image['target']): Descriptor => ({
  mediaType,
  digest,
  size,
  annotations,
});
