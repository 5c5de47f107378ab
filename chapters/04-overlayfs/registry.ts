import { authorizer } from './registry-auth.ts';
import type { Credentials } from './docker-config.ts';
import { digestOf, type Digest } from './digest.ts';
import { dataLoss, failedPrecondition, quoted } from './errors.ts';
import { MEDIA_TYPE } from './image.ts';
import { announcedDigest, checked, refused } from './registry-answer.ts';
import { isPassing, RegistryError, Unreachable } from './registry-error.ts';
import { endpoints, type Endpoint, type RegistrySettings } from './registry-hosts.ts';
import { openHttp, readBody, type HttpAnswer, type HttpRequest } from './registry-http.ts';
import { retry } from './retry.ts';

export interface RegistryOptions extends RegistrySettings {
  /** Whom to be, for a registry by its name (`docker.io`); `undefined`: nobody. */
  credentials?: (host: string) => Promise<Credentials | undefined>;
  signal?: AbortSignal | undefined;
  /** How often a request is tried. 5. */
  tries?: number;
  /** The first pause between tries, in milliseconds. 500. */
  pause?: number;
  /** After so long without a byte a connection counts as dead. Milliseconds; 30,000. */
  stall?: number;
  /** Pulls may be answered by mirrors; pushes may not. */
  useMirrors?: boolean;
}

/** A manifest, or an index, as a registry gave it. Its bytes have its digest. */
export interface RemoteManifest {
  mediaType: string;
  digest: Digest;
  bytes: Buffer;
}

/** One repository of a registry. Source: OCI distribution-spec. */
export interface Repository {
  /** The address that answered. */
  readonly endpoint: Endpoint;
  readonly path: string;
  /** `127.0.0.1:5000/app`: what messages call it. */
  readonly name: string;
  /** @throws RegistryError 404 when there is none; StoreError DATA_LOSS when it is not what its digest says */
  manifest(tagOrDigest: string): Promise<RemoteManifest>;
  /** One request, authorized; the caller looks at the status. `address` is below the repository, or whole. Not tried again. */
  send(address: string | URL, request: Omit<HttpRequest, 'url'>, follow?: boolean): Promise<HttpAnswer>;
  /** Does something, again if it fails in passing; `isFinal` knows errors that do not pass. */
  retry<T>(
    attempt: (progressed: () => void) => Promise<T>,
    isFinal?: (error: Unreachable) => boolean,
  ): Promise<T>;
  close(): void;
}

/** What is accepted as a manifest, best first. */
const ACCEPT = [
  MEDIA_TYPE.index,
  MEDIA_TYPE.dockerIndex,
  MEDIA_TYPE.manifest,
  MEDIA_TYPE.dockerManifest,
].join(', ');
/** Registries limit manifests to this, and so do readers. Bytes. */
const MANIFEST_LIMIT = 4 << 20;

/**
 * Does something with a repository, at the first address of its registry that answers as one (`GET /v2/`). A mirror need not have what
 * the registry has, nor be as careful: where one fails, whatever the reason, the next address is asked.
 * @param actions what for: `pull`, or `pull,push`
 * @throws what `work` throws at the registry itself; Unreachable, or RegistryError when the credentials are refused
 */
export async function withRepository<T>(
  { domain, path }: { domain: string; path: string },
  actions: 'pull' | 'pull,push',
  options: RegistryOptions,
  work: (repository: Repository) => Promise<T>,
): Promise<T> {
  const possible = endpoints(domain, options).filter(({ isMirror }) => !isMirror || options.useMirrors);
  const errors: unknown[] = [];
  for (const endpoint of possible) {
    const repository = connect(endpoint, path, path === '' ? '' : `repository:${path}:${actions}`, options);
    let answers = false;
    try {
      await ping(repository);
      answers = true;
      return await work(repository);
    } catch (error) {
      options.signal?.throwIfAborted();
      errors.push(error);
      if (!endpoint.isMirror && (answers || isRefusal(error))) throw error;
    } finally {
      repository.close();
    }
  }
  // What the registry proper says matters more than what a fall-back says.
  const main = possible.findIndex(({ isMirror }) => !isMirror);
  throw errors[possible.length - 1 > main ? errors.length - 1 : main] ?? errors.at(-1);
}

/** Whoever answers "no" is the registry: going on without TLS would hand the password to whoever listens. */
const isRefusal = (error: unknown): boolean =>
  error instanceof RegistryError && error.status !== 404 && error.status < 500;

/** `GET /v2/`: "this is a registry of the second version", or 401 with what it wants. @throws RegistryError, Unreachable */
async function ping({ retry, send, endpoint }: Repository): Promise<void> {
  const what = `no registry at ${endpoint.base.origin}/v2/`;
  await retry(() => checked(send('/v2/', { method: 'GET' }, true), what, [200, 401]), isNobody);
}

/** Checks name and password with a registry: `docker login`. @throws RegistryError 401 when they are refused */
export async function login(domain: string, options: RegistryOptions): Promise<void> {
  await withRepository({ domain, path: '' }, 'pull', options, async ({ send }) => {
    const answer = await send('/v2/', { method: 'GET' }, true);
    if (answer.status !== 200) throw await refused(answer, `login to ${domain}`);
    answer.body.resume();
  });
}

function connect(endpoint: Endpoint, path: string, scope: string, options: RegistryOptions): Repository {
  const { signal, tries = 5, pause = 500, stall } = options;
  const { ca, anyCertificate } = endpoint;
  const http = openHttp({ ca, anyCertificate, ...(stall !== undefined && { stall }) });
  const auth = authorizer(http, {
    credentials: async () => options.credentials?.(endpoint.host),
    needsTls: endpoint.base.protocol === 'https:' && !anyCertificate,
    signal,
  });
  const name = `${endpoint.host}/${path}`;

  const retrying: Repository['retry'] = (attempt, isFinal = isUntrusted) =>
    retry(attempt, {
      tries,
      pause,
      signal,
      isPassing: (error) => {
        if (error instanceof Unreachable) return !isFinal(error);
        return isPassing(error) && ((error as RegistryError).retryAfter ?? true);
      },
    });

  async function send(
    address: string | URL,
    request: Omit<HttpRequest, 'url'>,
    follow = false,
  ): Promise<HttpAnswer> {
    const url = address instanceof URL ? address : new URL(address, endpoint.base);
    // Only the registry itself gets what authorizes: a Location may lead to somebody's storage.
    const own = url.host === endpoint.base.host;
    const attempt = (authorization: string | undefined): Promise<HttpAnswer> => {
      const headers = { ...request.headers, ...(own && authorization && { Authorization: authorization }) };
      return (follow ? http.follow : http.send)({ ...request, url, headers, signal });
    };
    const answer = await attempt(auth.known(scope));
    const challenge = answer.headers['www-authenticate'];
    if (answer.status !== 401 || challenge === undefined || !own) return answer;
    answer.body.resume();
    return attempt(await auth.meet(challenge, scope));
  }

  async function manifest(tagOrDigest: string): Promise<RemoteManifest> {
    const what = `manifest for ${name}${tagOrDigest.includes(':') ? '@' : ':'}${tagOrDigest}`;
    const { answer, bytes } = await retrying(async () => {
      const answer = await send(
        `/v2/${path}/manifests/${tagOrDigest}`,
        { method: 'GET', headers: { Accept: ACCEPT } },
        true,
      );
      if (answer.status !== 200) throw await refused(answer, what);
      return { answer, bytes: await readBody(answer, MANIFEST_LIMIT) };
    });
    const digest = digestOf(bytes);
    const expected = tagOrDigest.includes(':') ? tagOrDigest : announcedDigest(answer);
    if (expected !== undefined && expected !== digest)
      throw dataLoss(`${what}: its bytes have the digest ${digest}, not ${quoted(expected)}`);
    return { mediaType: mediaTypeOf(what, bytes, answer.headers['content-type']), digest, bytes };
  }

  return { endpoint, path, name, manifest, send, retry: retrying, close: () => http.close() };
}

const codeOf = ({ cause }: Unreachable): string => (cause as NodeJS.ErrnoException | undefined)?.code ?? '';

/** A certificate that is not trusted, or no TLS at all, does not get better. */
const isUntrusted = (error: Unreachable): boolean =>
  /^(ERR_SSL|ERR_TLS|EPROTO|CERT|UNABLE|DEPTH_ZERO|SELF_SIGNED)/.test(codeOf(error));

/** Nor does, before it has answered once, what is not there, or says nothing: whoever waits should hear of it soon. */
const isNobody = (error: Unreachable): boolean =>
  isUntrusted(error) || /^(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT)/.test(codeOf(error));

/** What a manifest is, if the header and the document agree. @throws StoreError DATA_LOSS, FAILED_PRECONDITION */
function mediaTypeOf(what: string, bytes: Buffer, header = ''): string {
  const said = header.split(';')[0]!.trim();
  let document: { schemaVersion?: unknown; mediaType?: unknown; manifests?: unknown } | null;
  try {
    document = JSON.parse(bytes.toString()) as typeof document;
  } catch (error) {
    throw dataLoss(`${what} is not JSON`, error);
  }
  if (document?.schemaVersion === 1)
    throw failedPrecondition(
      `${what} is of schema 1, which Docker gave up in 2019: the image has to be pushed again`,
    );
  const own =
    document?.mediaType ?? (Array.isArray(document?.manifests) ? MEDIA_TYPE.index : MEDIA_TYPE.manifest);
  if (document?.schemaVersion !== 2 || typeof own !== 'string' || !ACCEPT.split(', ').includes(own))
    throw failedPrecondition(`${what} is of the unknown type ${JSON.stringify(own)}`);
  if (ACCEPT.split(', ').includes(said) && said !== own)
    throw dataLoss(`${what} was announced as ${said} and says itself that it is ${own}`);
  return own;
}
