import { quoted } from './errors.ts';
import type { Descriptor } from './image.ts';
import { checked } from './registry-answer.ts';
import { RegistryError, Unreachable } from './registry-error.ts';
import type { HttpAnswer } from './registry-http.ts';
import type { Repository } from './registry.ts';

/** See `pieceSize`. */
const PIECE_SIZE = 32 << 20;

export interface Upload extends Pick<Descriptor, 'digest' | 'size'> {
  /** Other repositories of the same registry that may have it. */
  sources: readonly string[];
  /**
   * A blob of up to so many bytes goes in one request; a larger one in pieces of this size, each of which can be sent again. Bytes;
   * 32 MiB unless told.
   */
  pieceSize?: number | undefined;
}

/**
 * Sends a blob to a registry that has it not, or has the registry mount it from another of its repositories: then that one's name is
 * returned. A connection that breaks is taken up where the registry says that it stands; one upload that it has forgotten is followed
 * by another.
 * Source: OCI distribution-spec, "Pushing Blobs".
 * @param read gives the bytes from an offset on
 * @throws RegistryError, Unreachable
 */
export async function uploadBlob(
  repository: Repository,
  { digest, size, sources, pieceSize = PIECE_SIZE }: Upload,
  read: (offset: number) => AsyncIterable<Uint8Array>,
  onBytes: (offset: number) => void,
): Promise<string | undefined> {
  const { path, send, retry, name } = repository;
  const what = `upload of ${digest} to ${name}`;
  const begin = (query = ''): Promise<HttpAnswer> =>
    checked(
      send(`/v2/${path}/blobs/uploads/${query}`, { method: 'POST', headers: { 'Content-Length': 0 } }),
      what,
      [201, 202],
    );
  const [source] = sources;
  const mounted =
    source && (await mount(repository, () => begin(`?mount=${digest}&from=${encodeURIComponent(source)}`)));
  if (mounted && mounted.status === 201) return source;

  /** Where the next piece goes: it may change with each answer. `undefined`: no upload is open. */
  let location = mounted ? locationOf(mounted, repository, what) : undefined;
  let [at, furthest] = [0, 0];
  /** Whether the registry has to say how far it is. */
  let isBroken = false;
  await retry(async (progressed) => {
    if (location === undefined) [location, at] = [locationOf(await begin(), repository, what), 0];
    try {
      if (isBroken) ({ location, at } = await standing(repository, location, what));
      if (at > size) throw new RegistryError(416, `${what}: the registry says it has ${at} of ${size} bytes`);
      while (size - at > pieceSize) {
        const answer = await sendPiece('PATCH', location, pieceSize);
        location = locationOf(answer, repository, what);
        at += pieceSize;
        if (at > furthest) progressed();
        furthest = Math.max(furthest, at);
      }
      const last = new URL(location);
      last.searchParams.set('digest', digest);
      await sendPiece('PUT', last, size - at);
    } catch (error) {
      const isLost = error instanceof RegistryError && (error.status === 404 || error.status === 416);
      // Of a piece that broke off, the registry may have a part; only from whole ones on can it be asked.
      isBroken = at > 0 && !isLost;
      if (!isBroken) location = undefined;
      throw isLost ? new Unreachable('the upload was lost', error) : error;
    }
  });
  return undefined;

  function sendPiece(method: 'PATCH' | 'PUT', to: URL, length: number): Promise<HttpAnswer> {
    const headers = {
      'Content-Type': 'application/octet-stream',
      'Content-Length': length,
      ...(method === 'PATCH' && { 'Content-Range': `${at}-${at + length - 1}` }),
    };
    const offset = at;
    const body = length > 0 ? () => counted(read(offset), offset, length, onBytes) : new Uint8Array();
    return checked(send(to, { method, headers, body }), what, method === 'PATCH' ? [202] : [201]);
  }
}

/** Asks for a mount. A registry that cannot, or may not, begins an ordinary upload, or says no: `undefined`. */
async function mount({ retry }: Repository, ask: () => Promise<HttpAnswer>): Promise<HttpAnswer | undefined> {
  try {
    return await retry(ask);
  } catch (error) {
    if (error instanceof RegistryError && error.status < 500 && error.status !== 429) return undefined;
    throw error;
  }
}

/** How far an upload is in the registry's eyes. @throws RegistryError when it has forgotten it */
async function standing(
  repository: Repository,
  location: URL,
  what: string,
): Promise<{ location: URL; at: number }> {
  const answer = await checked(repository.send(location, { method: 'GET' }), what, [204]);
  const end = /^(?:bytes=)?0-(\d+)$/.exec(String(answer.headers['range'] ?? ''))?.[1];
  return {
    location: locationOf(answer, repository, what, location),
    at: end === undefined || end === '0' ? 0 : Number(end) + 1,
  };
}

/** @throws RegistryError for a place that is none, or out of TLS: layers are nobody's business on the way */
function locationOf(
  { headers, status }: HttpAnswer,
  { endpoint: { base, anyCertificate } }: Repository,
  what: string,
  otherwise?: URL,
): URL {
  const { location } = headers;
  if (location === undefined && otherwise) return otherwise;
  if (location === undefined || !URL.canParse(location, base.href))
    throw new RegistryError(status, `${what}: the registry does not say where to (Location)`);
  const url = new URL(location, base);
  const isFit =
    url.protocol === 'https:' || (url.protocol === 'http:' && (base.protocol === 'http:' || anyCertificate));
  if (!isFit)
    throw new RegistryError(status, `${what}: the registry sends it to ${quoted(location)}: refused`);
  return url;
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
