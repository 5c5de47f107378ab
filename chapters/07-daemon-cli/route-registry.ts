import {
  login,
  parseReference,
  pullImage,
  pushImage,
  RegistryError,
  Unreachable,
  type Platform,
  type Progress,
} from '../04-overlayfs/index.ts';
import { ApiError, badParameter } from './api-error.ts';
import type { Call } from './call.ts';
import { contentOf } from './content-client.ts';
import type { Daemon } from './daemon.ts';
import { labelReferences, unpack } from './image-content.ts';
import { importImage } from './route-save.ts';
import { nameImage, shown, withLease } from './image-names.ts';
import { fullName } from './images.ts';
import { explain } from './log.ts';
import { withProgress, type ProgressStream } from './progress-stream.ts';
import {
  credentialsOf,
  noSuchTag,
  registryAuth,
  registryDomain,
  registryOptions,
  registryRefusal,
  type AuthConfig,
} from './registry-access.ts';
import type { Route } from './router.ts';

/** The routes that speak with registries. */
export const registryRoutes: readonly Route[] = [
  ['POST', '/auth', auth],
  ['POST', '/images/create', create],
  ['POST', '/images/{name...}/push', push],
];

/** `docker login`: whether the registry takes this name and password. */
async function auth(daemon: Daemon, call: Call): Promise<void> {
  const config = await call.body<AuthConfig>();
  const domain = registryDomain(config.serveraddress ?? '');
  const credentials = credentialsOf(config);
  if (!credentials) throw badParameter('login: username and password are missing');
  try {
    await login(domain, registryOptions(daemon, domain, credentials, call.gone));
  } catch (error) {
    if (error instanceof RegistryError && error.status < 500)
      throw new ApiError(401, error.message, { cause: error });
    throw error;
  }
  call.json(200, { IdentityToken: '', Status: 'Login Succeeded' });
}

/** `docker pull`, and with `fromSrc` `docker import`. */
async function create(daemon: Daemon, call: Call): Promise<void> {
  const from = call.query.get('fromImage');
  if (!from) return importImage(daemon, call);
  const tag = call.query.get('tag') ?? '';
  const name = fullName(tag === '' ? from : `${from}${tag.includes(':') ? '@' : ':'}${tag}`);
  const credentials = registryAuth(call);
  const platform = parsePlatform(call.query.get('platform') ?? '');
  await withProgress(call, (stream) =>
    pull(daemon, name, { credentials, platform, stream, signal: call.gone }),
  );
}

interface PullRequest {
  credentials: ReturnType<typeof registryAuth>;
  platform: Platform | undefined;
  stream: ProgressStream;
  signal: AbortSignal;
}

/** Fetches, unpacks and names an image, and says how it goes. */
export async function pull(
  daemon: Daemon,
  name: string,
  { credentials, platform, stream, signal }: PullRequest,
): Promise<void> {
  const { containerd } = daemon;
  const reference = parseReference(name);
  await withLease(daemon, async (lease) => {
    const known = (await daemon.images.all()).find((image) => image.names.includes(name));
    // A layer is complete when it is unpacked, too: that line comes later.
    const report = (line: Progress): void => stream.report(line);
    const { target, manifest } = await pullImage(contentOf(containerd, lease), reference, {
      ...registryOptions(daemon, reference.domain, credentials, signal),
      ...(platform && { platform }),
      downloads: daemon.downloads,
      report,
    }).catch((error: unknown) => {
      throw registryRefusal(error, shown(name), reference);
    });
    const config = await daemon.images.json<Parameters<typeof unpack>[1]['config']>(manifest.config.digest);
    await unpack(containerd, { manifest, config }, lease, (status, layer) =>
      report({ id: layer.digest.slice(7, 19), status }),
    );
    await labelReferences(containerd, { target, manifest, config });
    const isNew = known?.target.digest !== target.digest;
    await nameImage(daemon, name, target);
    stream.say({ status: `Digest: ${target.digest}` });
    stream.say({
      status: `Status: ${isNew ? 'Downloaded newer image' : 'Image is up to date'} for ${shown(name)}`,
    });
    daemon.events.publish('image', 'pull', shown(name), { name: shown(name) });
  });
}

/** `linux/arm/v7`. @throws ApiError 400 */
function parsePlatform(text: string): Platform | undefined {
  if (text === '') return undefined;
  const [os = '', architecture, variant, more] = text.split('/');
  if (!architecture || more !== undefined || !/^[\w/.-]+$/.test(text))
    throw badParameter(
      `invalid platform ${JSON.stringify(text)}: give OS/ARCHITECTURE[/VARIANT], such as linux/amd64`,
    );
  return { os, architecture, ...(variant && { variant }) };
}

/** `docker push`; without a tag all names of the repository. */
async function push(daemon: Daemon, call: Call): Promise<void> {
  const { containerd } = daemon;
  const repository = call.params['name']!;
  const tag = call.query.get('tag') ?? '';
  const name = fullName(tag === '' ? repository : `${repository}:${tag}`);
  const { domain, path } = parseReference(name);
  const images = await daemon.images.all();
  const names = images.flatMap((image) => image.names);
  const wanted =
    tag === '' ? names.filter((other) => isOf(other, domain, path)) : names.filter((other) => other === name);
  if (wanted.length === 0) throw noSuchTag(shown(name));
  const credentials = registryAuth(call);
  await withProgress(call, async ({ say, report }) => {
    for (const one of wanted) {
      const { target } = images.find((image) => image.names.includes(one))!;
      const reference = parseReference(one);
      const pushed = await pushImage(
        contentOf(containerd),
        { ...target, mediaType: target.mediaType ?? '' } as Parameters<typeof pushImage>[1],
        reference,
        {
          ...registryOptions(daemon, domain, credentials, call.gone),
          report,
        },
      ).catch((error: unknown) => {
        throw pushRefusal(error);
      });
      say({
        progressDetail: {},
        aux: { Tag: reference.tag ?? '', Digest: pushed.digest, Size: pushed.size },
      });
      daemon.events.publish('image', 'push', shown(one), { name: shown(one) });
    }
  });
}

const isOf = (name: string, domain: string, path: string): boolean => {
  if (name.startsWith('moby-dangling@') || name.includes('@')) return false;
  const reference = parseReference(name);
  return reference.domain === domain && reference.path === path;
};

function pushRefusal(error: unknown): unknown {
  if (error instanceof RegistryError && (error.status === 401 || error.status === 403))
    return new ApiError(error.status, error.said, { cause: error });
  if (error instanceof Unreachable) return new Error(explain(error), { cause: error.cause });
  return error;
}
