import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../01-processes/index.ts';
import { invalidArgument } from './errors.ts';
import { inNetwork } from './networks.ts';

/** How registries are reached: what a daemon's settings say. */
export interface RegistrySettings {
  /** Addresses that are asked for Docker Hub's images first: `https://mirror.example`. */
  mirrors?: readonly string[];
  /** Hosts, and networks as `10.0.0.0/8`, that may go without TLS, or with any certificate. Loopback is always among them. */
  insecure?: readonly string[];
  /** A folder with one folder a registry, `HOST:PORT`, of certificates that are trusted for it: `*.crt`. */
  certsDir?: string;
}

/** One way to a registry, to be tried in turn. */
export interface Endpoint {
  /** `https://registry-1.docker.io` */
  base: URL;
  /** Whose images it has: the key of its credentials. */
  host: string;
  anyCertificate: boolean;
  /** PEM */
  ca: string[];
  isMirror: boolean;
}

/** Where Docker Hub's images really are: `docker.io` is a web site. */
const HUB = 'registry-1.docker.io';

/**
 * The addresses at which the images of a reference's domain may be found, best first: mirrors (pulls from Docker Hub only), TLS, and for
 * what is insecure by setting plain HTTP.
 * @throws StoreError INVALID_ARGUMENT for settings that are no addresses
 */
export function endpoints(domain: string, settings: RegistrySettings = {}): Endpoint[] {
  const host = domain === 'docker.io' ? HUB : domain;
  const mirrors = domain === 'docker.io' ? (settings.mirrors ?? []) : [];
  const make = (address: string, key: string, isMirror: boolean): Endpoint => {
    const base = parseAddress(address);
    return {
      base,
      host: key,
      isMirror,
      anyCertificate: isInsecure(base.host, settings.insecure),
      ca: certificates(settings.certsDir, base.host),
    };
  };
  const plain = isInsecure(host, settings.insecure) ? [make(`http://${host}`, domain, false)] : [];
  return [
    ...mirrors.map((address) => make(address, parseAddress(address).host, true)),
    make(`https://${host}`, domain, false),
    ...plain,
  ];
}

function parseAddress(address: string): URL {
  if (URL.canParse(address)) {
    const url = new URL(address);
    if (/^https?:$/.test(url.protocol) && !url.search && !url.hash && !url.username) return url;
  }
  throw invalidArgument(`registry address ${JSON.stringify(address)}: give https://HOST[:PORT]`);
}

function isInsecure(host: string, listed: readonly string[] = []): boolean {
  const name = host.replace(/:\d+$/, '');
  if (name === 'localhost' || name === '[::1]' || inNetwork(name, '127.0.0.0/8')) return true;
  return listed.some((entry) => entry === host || entry === name || inNetwork(name, entry));
}

function certificates(dir: string | undefined, host: string): string[] {
  if (dir === undefined) return [];
  try {
    const names = readdirSync(join(dir, host)).filter((name) => name.endsWith('.crt'));
    return names.sort().map((name) => readFileSync(join(dir, host, name), 'utf8'));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}
