import { credentialsKey, dockerConfigPath, parseReference, readCredentials } from '../04-overlayfs/index.ts';

/** The header in which a client tells the daemon who it is for an image's registry: what Docker's own client has kept counts. */
export async function authHeaders(image: string): Promise<Record<string, string>> {
  const { domain } = parseReference(image);
  const kept = await readCredentials(dockerConfigPath(), domain);
  const { username, password, identityToken } = kept ?? {};
  const auth = {
    ...(username && { username, password }),
    ...(identityToken && { identitytoken: identityToken }),
    ...(kept && { serveraddress: credentialsKey(domain) }),
  };
  return { 'X-Registry-Auth': Buffer.from(JSON.stringify(auth)).toString('base64url') };
}
