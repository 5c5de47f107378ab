import {
  StoreError,
  type ContentInfo,
  type ContentStore,
  type ContentWriter,
  type Digest,
  type IngestStatus,
  type StoreErrorCode,
} from '../04-overlayfs/index.ts';
import {
  fromTimestamp,
  GrpcError,
  type ContainerdClient,
  type ContentInfo as InfoMessage,
  type ContentStatus as StatusMessage,
  type Timestamp,
} from '../06-shim-containerd/index.ts';

/** containerd refuses messages of more than 16 MiB. Bytes. */
const PIECE = 1 << 20;

/** gRPC's status codes that are answers of a store. */
const STORE_CODES: Record<number, StoreErrorCode> = {
  3: 'INVALID_ARGUMENT',
  5: 'NOT_FOUND',
  6: 'ALREADY_EXISTS',
  9: 'FAILED_PRECONDITION',
  14: 'UNAVAILABLE',
  15: 'DATA_LOSS',
};

/**
 * containerd's content store, as chapter 04 knows content stores: so that pull, push, load and save are the same code here as on a
 * store of one's own.
 * @param lease holds what is written, or found to be there already, until something else names it
 */
export function contentOf(containerd: ContainerdClient, lease = ''): ContentStore {
  const { content } = containerd;
  const options = lease ? { lease } : {};

  async function* read(digest: string, { offset = 0, size = 0 }: { offset?: number; size?: number } = {}) {
    try {
      for await (const { data } of content.read({ digest, offset, size })) yield data;
    } catch (error) {
      throw storeError(error);
    }
  }

  return {
    read,
    readAll: async (digest) => {
      const chunks: Buffer[] = [];
      for await (const chunk of read(digest)) chunks.push(chunk);
      return Buffer.concat(chunks);
    },
    info: async (digest) => infoOf((await asStore(content.info({ digest }))).info),
    list: async () => {
      const infos: ContentInfo[] = [];
      for await (const { info } of content.list({})) infos.push(...info.map(infoOf));
      return infos;
    },
    update: async (digest, labels, paths = []) =>
      infoOf(
        (await asStore(content.update({ info: { digest, labels }, updateMask: { paths: [...paths] } }))).info,
      ),
    delete: async (digest) => void (await asStore(content.delete({ digest }))),
    writer: (ref, { total = 0, expected = '' } = {}) =>
      openWriter(containerd, options, { ref, total, expected }),
    status: async (ref) => statusOf((await asStore(content.status({ ref }))).status),
    statuses: async () => (await asStore(content.listStatuses({}))).statuses.map(statusOf),
    abort: async (ref) => void (await asStore(content.abort({ ref }))),
  };
}

async function openWriter(
  { content }: ContainerdClient,
  options: { lease?: string },
  { ref, total, expected }: { ref: string; total: number; expected: string },
): Promise<ContentWriter> {
  const call = content.write(options);
  const say = async (message: Parameters<typeof call.send>[0]) => {
    try {
      await call.send(message);
      const answer = await call.next();
      if (!answer) throw new StoreError('UNAVAILABLE', `ingest ${ref}: containerd ended the writing`);
      return answer;
    } catch (error) {
      call.cancel();
      throw storeError(error);
    }
  };
  let last = await say({ action: 'STAT', ref, total, expected });
  return {
    status: () => ({
      ref,
      offset: last.offset,
      total,
      ...(expected && { expected: expected as Digest }),
      startedAt: dateOf(last.startedAt),
      updatedAt: dateOf(last.updatedAt),
    }),
    digest: () => last.digest as Digest,
    async write(data) {
      for (let at = 0; at < data.length; at += PIECE)
        last = await say({ action: 'WRITE', offset: last.offset, data: data.subarray(at, at + PIECE) });
    },
    async truncate(size) {
      if (size === last.offset) return;
      if (size > 0) throw new StoreError('INVALID_ARGUMENT', 'containerd truncates to nothing only');
      last = await say({ action: 'WRITE', offset: 0 });
    },
    async commit({ size = 0, expected: digest = expected, labels = {} } = {}) {
      last = await say({ action: 'COMMIT', offset: last.offset, total: size, expected: digest, labels });
      call.end();
      return last.digest as Digest;
    },
    close: async () => {
      call.end();
      call.cancel();
    },
  };
}

const asStore = async <T>(calling: Promise<T>): Promise<T> => {
  try {
    return await calling;
  } catch (error) {
    throw storeError(error);
  }
};

/** containerd's refusal as chapter 04 says it. */
function storeError(error: unknown): unknown {
  const code = error instanceof GrpcError ? STORE_CODES[error.code] : undefined;
  return code ? new StoreError(code, (error as Error).message, { cause: error }) : error;
}

const dateOf = (time: Timestamp | null): Date => fromTimestamp(time) ?? new Date(0);

const infoOf = (info: InfoMessage): ContentInfo => ({
  ...info,
  digest: info.digest as Digest,
  createdAt: dateOf(info.createdAt),
  updatedAt: dateOf(info.updatedAt),
});

const statusOf = ({ expected, ...status }: StatusMessage): IngestStatus => ({
  ...status,
  ...(expected && { expected: expected as Digest }),
  startedAt: dateOf(status.startedAt),
  updatedAt: dateOf(status.updatedAt),
});
