import { credentialsKey, parseReference, type Credentials } from '../04-overlayfs/index.ts';
import { ApiError } from './api-error.ts';
import type { Build } from './build-state.ts';
import { fullName, type LocalImage } from './images.ts';
import { pull } from './route-registry.ts';

/**
 * An image that a build names: from the store, or pulled where it is not there, or always if the build is asked to. The client's
 * credentials for that registry go along.
 * @throws ApiError with the registry's refusal
 */
export async function imageFor(build: Build, name: string, always = false): Promise<LocalImage> {
  const { daemon, say, signal, request } = build;
  const here = always ? undefined : await findIfThere(build, name);
  if (here) return here;
  const stream = {
    say: () => undefined,
    report: ({ id, status }: { id?: string; status: string }) => say(`${id ? `${id}: ` : ''}${status}\n`),
  };
  const full = fullName(name);
  const credentials = credentialsFor(request.credentials, parseReference(full).domain);
  await pull(daemon, full, { credentials, platform: undefined, stream, signal });
  return daemon.images.find(name);
}

async function findIfThere({ daemon }: Build, name: string): Promise<LocalImage | undefined> {
  try {
    return await daemon.images.find(name);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}

/** Whom to be for a registry: `X-Registry-Config` names registries as config.json does. */
function credentialsFor(all: ReadonlyMap<string, Credentials>, domain: string): Credentials | undefined {
  const key = credentialsKey(domain);
  return all.get(key) ?? all.get(`https://${key}`) ?? all.get(`http://${key}`);
}
