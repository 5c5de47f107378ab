import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, type AgentOptions } from 'node:https';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as tlsConnect, type ConnectionOptions } from 'node:tls';
import { invalidArgument } from './errors.ts';
import { inNetwork } from './networks.ts';

/**
 * The proxy that requests for an address go through; `undefined`: none. `HTTP_PROXY` and `HTTPS_PROXY` name one for each kind,
 * `NO_PROXY` the hosts that are spoken to directly: names (with all below them), `.suffixes`, addresses, networks, each perhaps with
 * a port, or `*`. The machine itself is always spoken to directly. Names in lower case count first.
 * Source: golang.org/x/net/http/httpproxy, which dockerd uses.
 * @throws StoreError INVALID_ARGUMENT for a proxy that is no address
 */
export function proxyFor(url: URL, environment: NodeJS.ProcessEnv = process.env): URL | undefined {
  const variable = (name: string): string => environment[name.toLowerCase()] || environment[name] || '';
  const address = variable(url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY');
  if (address === '' || isDirect(url, variable('NO_PROXY'))) return undefined;
  const whole = address.includes('://') ? address : `http://${address}`;
  if (!URL.canParse(whole) || !/^https?:$/.test(new URL(whole).protocol))
    throw invalidArgument(`proxy ${JSON.stringify(address)}: give http://HOST:PORT`);
  return new URL(whole);
}

function isDirect({ hostname, port, protocol }: URL, exceptions: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '').toLowerCase();
  if (host === 'localhost' || host === '::1' || inNetwork(host, '127.0.0.0/8')) return true;
  const own = port || (protocol === 'https:' ? '443' : '80');
  return exceptions
    .toLowerCase()
    .split(',')
    .map((entry) => entry.trim())
    .filter(Boolean)
    .some((entry) => {
      if (entry === '*' || inNetwork(host, entry)) return true;
      const [, name = '', wanted] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
      if (wanted !== undefined && wanted !== own) return false;
      const suffix = name.replace(/^\*?\./, '');
      return host === name || (isIP(host) === 0 && host.endsWith(`.${suffix}`));
    });
}

/** What makes connections: kept, and through a proxy where there is one. */
export interface Agents {
  plain: HttpAgent;
  tls: HttpsAgent;
}

/** Connections without a proxy. */
export const directAgents = (options: AgentOptions): Agents => ({
  plain: new HttpAgent({ keepAlive: true }),
  tls: new HttpsAgent({ ...options, keepAlive: true }),
});

/** TLS connections through a proxy, which sees the host's name and bytes that it cannot read: CONNECT. RFC 9110, section 9.3.6. */
export function tunnelAgent(proxy: URL, options: AgentOptions): HttpsAgent {
  const agent = new HttpsAgent({ ...options, keepAlive: true });
  const createConnection = (
    to: ConnectionOptions,
    done: (error: Error | null, stream?: Duplex) => void,
  ): undefined => {
    const authority = `${to.host!.includes(':') ? `[${to.host}]` : to.host}:${to.port ?? 443}`;
    const headers = { Host: authority, ...proxyAuthorization(proxy) };
    const request = httpRequest({
      ...hostOf(proxy),
      method: 'CONNECT',
      path: authority,
      headers,
      agent: false,
      ...(to.timeout !== undefined && { timeout: to.timeout }),
    });
    const silent = (): Error => Object.assign(new Error('no byte for too long'), { code: 'ETIMEDOUT' });
    request.on('timeout', () => request.destroy(silent()));
    request.on('error', (error) =>
      done(new Error(`proxy ${proxy.host}: ${error.message}`, { cause: error })),
    );
    request.on('connect', (answer, socket) => {
      if (answer.statusCode === 200) {
        const stream = tlsConnect({ ...to, socket, servername: to.servername ?? to.host }, () =>
          done(null, stream),
        );
        stream.once('error', (error) => done(error));
        stream.once('timeout', () => stream.destroy(silent()));
        return;
      }
      socket.destroy();
      done(new Error(`proxy ${proxy.host} answers CONNECT ${authority} with status ${answer.statusCode}`));
    });
    request.end();
    return undefined;
  };
  return Object.assign(agent, { createConnection });
}

/** Where a proxy is, as http.request takes it. */
export const hostOf = (proxy: URL): { hostname: string; port: number } => ({
  hostname: proxy.hostname.replace(/^\[|\]$/g, ''),
  port: Number(proxy.port || 80),
});

/** `http://NAME:PASSWORD@proxy` */
export function proxyAuthorization({ username, password }: URL): Record<string, string> {
  if (username === '') return {};
  const text = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { 'Proxy-Authorization': `Basic ${Buffer.from(text).toString('base64')}` };
}
