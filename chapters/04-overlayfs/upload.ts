import type { Descriptor } from './image.ts';
import { checked } from './registry-answer.ts';
import { RegistryError } from './registry-error.ts';
import type { HttpAnswer } from './registry-http.ts';
import type { Repository } from './registry.ts';

/** A blob of up to so many bytes goes in one request; a larger one in pieces of this size, each of which can be sent again. */
const CHUNK = 32 << 20;

export interface Upload extends Pick<Descriptor, 'digest' | 'size'> {
  /** Other repositories of the same registry that may have it. */
  sources: readonly string[];
}

/**
 * Sends a blob to a registry that has it not, or has the registry mount it from another of its repositories: then that one's name is
 * returned. A connection that breaks is taken up where the registry says that it stands.
 * Source: OCI distribution-spec, "Pushing Blobs".
 * @param read gives the bytes from an offset on
 * @throws RegistryError, Unreachable
 */
export async function uploadBlob(
  repository: Repository,
  { digest, size, sources }: Upload,
  read: (offset: number) => AsyncIterable<Uint8Array>,
  onBytes: (offset: number) => void,
): Promise<string | undefined> {
  const { path, send, retry, endpoint } = repository;
  const begin = (query: string): Promise<HttpAnswer> =>
    retry(() =>
      checked(
        send(`/v2/${path}/blobs/uploads/${query}`, { method: 'POST', headers: { 'Content-Length': 0 } }),
        `upload of ${digest}`,
        [201, 202],
      ),
    );
  // A registry that cannot mount, or may not, begins an ordinary upload.
  const [source] = sources;
  const begun = await begin(
    source === undefined ? '' : `?mount=${digest}&from=${encodeURIComponent(source)}`,
  );
  if (begun.status === 201) return source;

  /** Where the next piece goes: it may change with each answer. */
  let location = locationOf(begun, endpoint.base);
  let at = 0;
  await retry(async (progressed) => {
    if (at > 0) ({ location, at } = await standing(repository, location));
    while (size - at > CHUNK) {
      const length = Math.min(CHUNK, size - at);
      const headers = {
        'Content-Type': 'application/octet-stream',
        'Content-Length': length,
        'Content-Range': `${at}-${at + length - 1}`,
      };
      const body = counted(read(at), at, length, onBytes);
      const answer = await checked(
        send(location, { method: 'PATCH', headers, body }),
        `upload of ${digest}`,
        [202],
      );
      location = locationOf(answer, endpoint.base);
      at += length;
      progressed();
    }
    const last = new URL(location);
    last.searchParams.set('digest', digest);
    const headers = { 'Content-Type': 'application/octet-stream', 'Content-Length': size - at };
    const body = size > at ? counted(read(at), at, size - at, onBytes) : new Uint8Array();
    await checked(send(last, { method: 'PUT', headers, body }), `upload of ${digest}`, [201]);
  });
  return undefined;
}

/** How far an upload is in the registry's eyes. @throws RegistryError when it has forgotten it */
async function standing(
  { send, endpoint }: Repository,
  location: URL,
): Promise<{ location: URL; at: number }> {
  const answer = await checked(send(location, { method: 'GET' }), 'upload', [204]);
  const end = /^(?:bytes=)?0-(\d+)$/.exec(String(answer.headers['range'] ?? ''))?.[1];
  return {
    location: locationOf(answer, endpoint.base, location),
    at: end === undefined || end === '0' ? 0 : Number(end) + 1,
  };
}

function locationOf({ headers, status }: HttpAnswer, base: URL, otherwise?: URL): URL {
  const { location } = headers;
  if (location === undefined && otherwise) return otherwise;
  if (location === undefined || !URL.canParse(location, base.href))
    throw new RegistryError(status, 'upload: the registry does not say where to (Location)');
  return new URL(location, base);
}

/** `length` bytes of a stream that begins at `offset`, telling how far it is. */
async function* counted(
  source: AsyncIterable<Uint8Array>,
  offset: number,
  length: number,
  onBytes: (offset: number) => void,
): AsyncGenerator<Uint8Array> {
  let left = length;
  for await (const chunk of source) {
    const piece = chunk.subarray(0, left);
    left -= piece.length;
    yield piece;
    onBytes(offset + length - left);
    if (left === 0) return;
  }
}
