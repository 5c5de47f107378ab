import {
  RegistryError,
  type Credentials,
  type Reference,
  type RegistryOptions,
} from '../04-overlayfs/index.ts';
import { ApiError, badParameter, notFound } from './api-error.ts';
import type { Call } from './call.ts';
import type { Daemon } from './daemon.ts';

/** Who a client is for a registry, as it says so in `X-Registry-Auth`, or in the body of POST /auth. */
export interface AuthConfig {
  username?: string;
  password?: string;
  auth?: string;
  serveraddress?: string;
  identitytoken?: string;
  registrytoken?: string;
}

/** Reads the header `X-Registry-Auth`: base64 (of the kind for URLs) of JSON. @throws ApiError 400 */
export function registryAuth(call: Pick<Call, 'request'>): Credentials | undefined {
  return credentialsOf(jsonHeader<AuthConfig>(call, 'X-Registry-Auth') ?? {});
}

/** Reads the header `X-Registry-Config`, which a build comes with: credentials by registry. @throws ApiError 400 */
export function registryConfig(call: Pick<Call, 'request'>): Map<string, Credentials> {
  const all = new Map<string, Credentials>();
  const config = jsonHeader<Record<string, AuthConfig | null>>(call, 'X-Registry-Config');
  for (const [registry, auth] of Object.entries(config ?? {})) {
    const credentials = credentialsOf(auth ?? {});
    if (credentials) all.set(registry, credentials);
  }
  return all;
}

function jsonHeader<T>({ request }: Pick<Call, 'request'>, name: string): T | null {
  const header = request.headers[name.toLowerCase()];
  if (typeof header !== 'string' || header === '') return null;
  try {
    return JSON.parse(Buffer.from(header, 'base64url').toString()) as T | null;
  } catch (error) {
    throw badParameter(`${name} is not base64 of JSON`, error);
  }
}

export function credentialsOf({
  username,
  password,
  auth,
  identitytoken,
}: AuthConfig): Credentials | undefined {
  if (identitytoken) return { identityToken: identitytoken };
  if (username) return { username, password: password ?? '' };
  const [name, ...rest] = Buffer.from(auth ?? '', 'base64')
    .toString()
    .split(':');
  return name ? { username: name, password: rest.join(':') } : undefined;
}

/** How this daemon reaches registries. The client's credentials are for the registry that it names, not for a mirror. */
export function registryOptions(
  { options }: Daemon,
  domain: string,
  credentials: Credentials | undefined,
  signal: AbortSignal,
): RegistryOptions {
  return {
    mirrors: options.registryMirrors,
    insecure: options.insecureRegistries,
    certsDir: options.certsDir,
    signal,
    credentials: async (host) => (host === domain ? credentials : undefined),
  };
}

/** A registry's refusal in the words that Docker's users know. */
export function registryRefusal(error: unknown, name: string, { path }: Reference): unknown {
  if (!(error instanceof RegistryError)) return error;
  const { status, code, message, said } = error;
  const isManifest = message.startsWith('manifest for ');
  if (status === 404 && isManifest && code !== 'NAME_UNKNOWN')
    return new ApiError(404, `manifest for ${name} not found: ${code ? said : `manifest unknown: ${said}`}`, {
      cause: error,
    });
  if (status === 401 || status === 403 || code === 'NAME_UNKNOWN')
    return new ApiError(
      404,
      `pull access denied for ${path}, repository does not exist or may require 'docker login': ${said}`,
      { cause: error },
    );
  return error;
}

/** `https://index.docker.io/v1/` → `docker.io`; `http://127.0.0.1:5000` → `127.0.0.1:5000`. @throws ApiError 400 */
export function registryDomain(address: string): string {
  const host = address.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
  if (host === '' || /^(index\.|registry-1\.)?docker\.io$/.test(host)) return 'docker.io';
  if (!/^[\w.-]+(:\d+)?$|^\[[\da-f:]+\](:\d+)?$/i.test(host))
    throw badParameter(`invalid registry address ${JSON.stringify(address)}: give HOST[:PORT]`);
  return host;
}

export const noSuchTag = (name: string): Error =>
  notFound(`An image does not exist locally with the tag: ${name}`);
