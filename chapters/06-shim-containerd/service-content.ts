import type { ContentInfo, ContentStore, ContentWriter, IngestStatus } from '../04-overlayfs/index.ts';
import { isStoreError } from '../04-overlayfs/index.ts';
import type { Input } from './api-common.ts';
import type {
  ContentInfo as InfoMessage,
  ContentStatus,
  WriteContentRequest,
  WriteContentResponse,
} from './api-content.ts';
import type { EventBus } from './event-bus.ts';
import { fieldsOf, parseFilters } from './filters.ts';
import { GrpcError } from './grpc-errors.ts';
import type { Handlers } from './grpc-server.ts';
import type { Leases } from './leases.ts';
import type { Namespaces } from './namespaces.ts';
import { toTimestamp } from './protobuf.ts';

/** containerd sends lists a hundred at a time, too. */
const PAGE = 100;

/** containerd.services.content.v1: blobs by their digest, and the writing of them. */
export function contentService(
  namespaces: Namespaces,
  leases: Leases,
  events: EventBus,
): Handlers['content'] {
  const contentOf = async (namespace: string) => (await namespaces.room(namespace)).content;
  return {
    info: async ({ digest }, { namespace }) => ({
      info: infoOf(await (await contentOf(namespace)).info(digest)),
    }),
    async update({ info, updateMask }, { namespace }) {
      const content = await contentOf(namespace);
      return { info: infoOf(await content.update(info.digest, info.labels, updateMask?.paths ?? [])) };
    },
    async *list({ filters }, { namespace }) {
      const matches = parseFilters(filters);
      const infos = (await (await contentOf(namespace)).list()).filter((info) => matches(fieldsOf(info)));
      for (let at = 0; at < infos.length; at += PAGE) yield { info: infos.slice(at, at + PAGE).map(infoOf) };
    },
    async delete({ digest }, { namespace }) {
      await (await contentOf(namespace)).delete(digest);
      events.tell(namespace, '/content/delete', 'ContentDelete', { digest });
      return {};
    },
    async *read({ digest, offset, size }, { namespace }) {
      const content = await contentOf(namespace);
      const { size: whole } = await content.info(digest);
      if (offset < 0 || size < 0 || offset > whole)
        throw new GrpcError('OutOfRange', `read past object length ${whole} bytes`);
      let at = offset;
      for await (const data of content.read(digest, { offset, size })) {
        yield { offset: at, data };
        at += data.length;
      }
    },
    status: async ({ ref }, { namespace }) => ({
      status: statusOf(await (await contentOf(namespace)).status(ref)),
    }),
    async listStatuses({ filters }, { namespace }) {
      const matches = parseFilters(filters);
      const statuses = await (await contentOf(namespace)).statuses();
      return { statuses: statuses.filter((status) => matches(fieldsOf(status))).map(statusOf) };
    },
    async *write(requests, { namespace, lease }) {
      const content = await contentOf(namespace);
      // Also when the bytes are there already: the client builds on them from here on.
      const hold = (digest: string): Promise<void> => leases.hold(namespace, lease, 'content', digest);
      yield* writeBlob(content, requests, hold);
    },
    async abort({ ref }, { namespace }) {
      await (await contentOf(namespace)).abort(ref);
      return {};
    },
  };
}

/**
 * One writing: the first message opens it, each gets one answer, COMMIT ends it. What was written without a commit stays, and can be
 * resumed under the same ref. The digest may be told as late as with the commit.
 * @param hold puts a blob under the client's lease
 */
async function* writeBlob(
  content: ContentStore,
  requests: AsyncIterable<WriteContentRequest>,
  hold: (digest: string) => Promise<void>,
): AsyncGenerator<Input<WriteContentResponse>> {
  let writer: ContentWriter | undefined;
  let [total, expected] = [0, ''];
  try {
    for await (const request of requests) {
      total = request.total || total;
      expected = request.expected || expected;
      if (!writer && !request.ref)
        throw new GrpcError('InvalidArgument', 'first message must have a reference');
      // Held before it is looked for: what is there then, stays.
      if (request.expected) await hold(expected);
      if (request.expected && (await exists(content, expected))) {
        if (writer) await throwAway(content, writer);
        throw new GrpcError('AlreadyExists', `blob with expected digest ${expected} exists`);
      }
      writer ??= await content.writer(request.ref, {
        ...(total && { total }),
        ...(expected && { expected }),
      });

      if (request.action !== 'STAT') await write(writer, request);
      const digest = writer.digest();
      const status = writer.status();
      if (request.action === 'COMMIT') {
        await hold(digest);
        await writer.commit({
          ...(total && { size: total }),
          ...(expected && { expected }),
          labels: request.labels,
        });
      }
      yield { ...answerOf(status), action: request.action, total, digest };
      if (request.action === 'COMMIT') return;
    }
  } finally {
    await writer?.close();
  }
}

async function write(writer: ContentWriter, { offset, data }: WriteContentRequest): Promise<void> {
  const at = writer.status().offset;
  if (offset > 0 && offset !== at)
    throw new GrpcError('OutOfRange', `write @${offset} must occur at current offset ${at}`);
  if (offset === 0 && at > 0) await writer.truncate(0);
  if (data.length > 0) await writer.write(data);
}

async function exists(content: ContentStore, digest: string): Promise<boolean> {
  try {
    await content.info(digest);
    return true;
  } catch (error) {
    if (isStoreError(error, 'NOT_FOUND')) return false;
    throw error;
  }
}

async function throwAway(content: ContentStore, writer: ContentWriter): Promise<void> {
  await writer.close();
  await content.abort(writer.status().ref);
}

const infoOf = ({ createdAt, updatedAt, ...info }: ContentInfo): Input<InfoMessage> => ({
  ...info,
  createdAt: toTimestamp(createdAt),
  updatedAt: toTimestamp(updatedAt),
});

const answerOf = ({ offset, startedAt, updatedAt }: IngestStatus): Input<WriteContentResponse> => ({
  offset,
  startedAt: toTimestamp(startedAt),
  updatedAt: toTimestamp(updatedAt),
});

const statusOf = (status: IngestStatus): Input<ContentStatus> => ({
  ...status,
  startedAt: toTimestamp(status.startedAt),
  updatedAt: toTimestamp(status.updatedAt),
});
