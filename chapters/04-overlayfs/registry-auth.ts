import type { Credentials } from './docker-config.ts';
import { quoted } from './errors.ts';
import { refused } from './registry-answer.ts';
import { RegistryError } from './registry-error.ts';
import { readBody, where, type Http } from './registry-http.ts';

/** What a registry wants of whom it does not know: the header `WWW-Authenticate`. RFC 9110, section 11.6.1. */
export interface Challenge {
  /** `basic` or `bearer` */
  scheme: string;
  parameters: Record<string, string>;
}

/** `Bearer realm="https://…/token",service="registry",scope="repository:a/b:pull"`, or several, joined by commas. */
export function parseChallenges(header: string): Challenge[] {
  //#gap 04.6 parseChallenges
  const challenges: Challenge[] = [];
  const token = /\s*,?\s*([\w!#$%&'*+.^`|~-]+)(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,"]+))?/gy;
  for (let match = token.exec(header); match; match = token.exec(header)) {
    const [, word, value] = match;
    if (value === undefined) challenges.push({ scheme: word!.toLowerCase(), parameters: {} });
    else if (challenges.length > 0)
      challenges.at(-1)!.parameters[word!.toLowerCase()] = value.startsWith('"')
        ? value.slice(1, -1).replace(/\\(.)/g, '$1')
        : value;
  }
  return challenges;
  //#end
}

/** Finds the `Authorization` for requests, asking as little as possible. */
export interface Authorizer {
  /** What is known already for a scope; `undefined`: ask without. */
  known(scope: string): string | undefined;
  /**
   * Answers a 401.
   * @throws RegistryError 401 when there are no credentials, or they are refused
   */
  meet(challenge: string, scope: string): Promise<string>;
}

/** Answers of a token server are small. Bytes. */
const TOKEN_LIMIT = 1 << 20;
const CLIENT_ID = 'mydocker';

export interface AuthorizerOptions {
  credentials: () => Promise<Credentials | undefined>;
  /** Whether a token server without TLS is refused: that of a registry with TLS would get the password in the clear. */
  needsTls?: boolean;
  signal?: AbortSignal | undefined;
}

/**
 * One registry's authorizer. Basic: name and password go with each request. Bearer: the registry names a token server, which sees the
 * password and gives a token that is good for some minutes and for this repository; the registry itself never sees the password.
 * Source: distribution, docs/spec/auth/token.md and oauth.md.
 */
export function authorizer(
  http: Http,
  { credentials, needsTls = false, signal }: AuthorizerOptions,
): Authorizer {
  const known = new Map<string, { header: string; until: number }>();
  let basic: string | undefined;

  async function meetBasic(): Promise<string> {
    const { username, password = '' } = (await credentials()) ?? {};
    if (!username) throw new RegistryError(401, 'no basic auth credentials', { code: 'UNAUTHORIZED' });
    basic = basicHeader(username, password).Authorization;
    return basic;
  }

  async function meetBearer(parameters: Record<string, string>, scope: string): Promise<string> {
    const realm = parameters['realm'];
    const { protocol } = URL.canParse(realm ?? '') ? new URL(realm!) : {};
    if (!realm || (protocol !== 'https:' && protocol !== 'http:'))
      throw new RegistryError(401, `the registry names a token server at ${quoted(realm ?? '')}: no address`);
    if (needsTls && protocol === 'http:')
      throw new RegistryError(
        401,
        `the registry names a token server without TLS, ${where(new URL(realm))}: refused`,
      );
    const { token, access_token, expires_in } = await askToken(http, new URL(realm), {
      service: parameters['service'] ?? '',
      // What the request is about; a registry may also say what it wants itself.
      scopes: [...new Set([scope, ...(parameters['scope']?.split(' ') ?? [])].filter(Boolean))],
      credentials: await credentials(),
      signal,
    });
    const header = `Bearer ${token || access_token}`;
    // Renewed a little before it ends. One that says nothing of that is good for a minute.
    const seconds = Number(expires_in) || 60;
    known.set(scope, { header, until: Date.now() + Math.max(seconds - 5, 5) * 1000 });
    return header;
  }

  return {
    known(scope) {
      const token = known.get(scope);
      return token && token.until > Date.now() ? token.header : basic;
    },
    async meet(header, scope) {
      const challenges = parseChallenges(header);
      const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
      if (bearer) return meetBearer(bearer.parameters, scope);
      if (challenges.some(({ scheme }) => scheme === 'basic')) return meetBasic();
      throw new RegistryError(
        401,
        `the registry asks for the login ${quoted(header)}: only Basic and Bearer are known`,
      );
    },
  };
}

interface TokenAnswer {
  token?: string;
  access_token?: string;
  /** seconds */
  expires_in?: number;
}

async function askToken(
  http: Http,
  realm: URL,
  {
    service,
    scopes,
    credentials,
    signal,
  }: {
    service: string;
    scopes: string[];
    credentials: Credentials | undefined;
    signal: AbortSignal | undefined;
  },
): Promise<TokenAnswer> {
  const { identityToken, username, password = '' } = credentials ?? {};
  const request = identityToken
    ? oauthRequest(realm, service, scopes, identityToken)
    : {
        method: 'GET',
        url: tokenUrl(realm, service, scopes),
        headers: username ? basicHeader(username, password) : {},
      };
  // A form goes nowhere but where it was meant to: it holds the token that stands for the password.
  const answer = await (request.method === 'GET' ? http.follow : http.send)({ ...request, signal });
  const what = `token server ${where(realm)}`;
  if (answer.status !== 200) throw await refused(answer, what);
  const text = (await readBody(answer, TOKEN_LIMIT)).toString();
  try {
    const parsed = JSON.parse(text) as TokenAnswer;
    // It goes into a header: RFC 6750, section 2.1.
    if (/^[\w.~+/-]+=*$/.test(String(parsed.token || parsed.access_token || ''))) return parsed;
  } catch {
    // Told below.
  }
  throw new RegistryError(answer.status, `${what}: its answer holds no token`);
}

const basicHeader = (username: string, password: string): { Authorization: string } => ({
  Authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`,
});

function tokenUrl(realm: URL, service: string, scopes: string[]): URL {
  const url = new URL(realm);
  if (service) url.searchParams.set('service', service);
  for (const scope of scopes) url.searchParams.append('scope', scope);
  return url;
}

function oauthRequest(realm: URL, service: string, scopes: string[], refresh: string) {
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    refresh_token: refresh,
    service,
    client_id: CLIENT_ID,
  });
  if (scopes.length > 0) form.set('scope', scopes.join(' '));
  return {
    method: 'POST',
    url: realm,
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: Buffer.from(form.toString()),
  };
}
