import { parseDigest, type Digest } from './digest.ts';
import { invalidArgument, quoted } from './errors.ts';

/** A reference to an image, in the parts of its full form: `docker.io/library/busybox:latest`. */
export interface Reference {
  /** The registry's host, and port if any: `docker.io`, `localhost:5000`. */
  domain: string;
  /** The repository within it: `library/busybox`. */
  path: string;
  tag?: string;
  digest?: Digest;
}

const DEFAULT_DOMAIN = 'docker.io';
const NAME = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const DOMAIN_PART = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?';
const DOMAIN = new RegExp(`^(?:${DOMAIN_PART}(?:\\.${DOMAIN_PART})*|\\[[0-9a-fA-F:]+\\])(?::[0-9]+)?$`);
const TAG = /^\w[\w.-]{0,127}$/;

/**
 * Reads a reference as people type it, and completes it as Docker does: `busybox` is `docker.io/library/busybox:latest`.
 * No tag is added where there is a digest.
 * Source: distribution/reference, normalize.go and the grammar in reference.go.
 * @throws StoreError INVALID_ARGUMENT
 */
export function parseReference(text: string): Reference {
  const bad = (why: string): never => {
    throw invalidArgument(`invalid reference format: ${quoted(text)}: ${why}`);
  };
  if (/^[0-9a-f]{64}$/.test(text)) bad('64 hexadecimal digits are an image ID, not a name');
  const at = text.indexOf('@');
  const digest = at === -1 ? undefined : parseDigest(text.slice(at + 1));
  const named = at === -1 ? text : text.slice(0, at);
  // A colon after the last slash begins a tag; one before it a port.
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1);
  const tag = colon === -1 ? undefined : named.slice(colon + 1);
  const { domain, path } = splitDomain(colon === -1 ? named : named.slice(0, colon));

  if (/[A-Z]/.test(path)) bad('repository name must be lowercase');
  if (!NAME.test(path))
    bad('a repository name is lowercase letters and digits, with . _ - or / between them');
  if (!DOMAIN.test(domain)) bad(`${quoted(domain)} is not a host name`);
  if (domain.length + 1 + path.length > 255) bad('a name has at most 255 characters');
  if (tag !== undefined && !TAG.test(tag))
    bad('a tag is 1 to 128 letters, digits and _ . -, not beginning with . or -');
  return {
    domain,
    path,
    ...(tag !== undefined && { tag }),
    ...(digest && { digest }),
    ...(tag === undefined && !digest && { tag: 'latest' }),
  };
}

/** The first part is a host if it looks like one (a dot, a port, an upper-case letter) or is `localhost`. */
function splitDomain(name: string): { domain: string; path: string } {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(slash, 0));
  const isHost = first === 'localhost' || /[.:A-Z]/.test(first);
  const domain = !isHost || first === 'index.docker.io' ? DEFAULT_DOMAIN : first;
  const path = isHost ? name.slice(slash + 1) : name;
  return { domain, path: domain === DEFAULT_DOMAIN && !path.includes('/') ? `library/${path}` : path };
}

/** The full form, which is the key in the image store: `docker.io/library/busybox:latest`. */
export function referenceString(reference: Reference): string {
  const tag = reference.tag === undefined ? '' : `:${reference.tag}`;
  const digest = reference.digest === undefined ? '' : `@${reference.digest}`;
  return `${reference.domain}/${reference.path}${tag}${digest}`;
}

/** The short form that Docker shows: `busybox:latest`, `user/app:1`, `localhost:5000/app:2`. */
export function familiarString(reference: Reference): string {
  return referenceString(reference)
    .replace(/^docker\.io\/library\//, '')
    .replace(/^docker\.io\//, '');
}

/** The full form of a reference as typed: `normalizeReference('busybox') === 'docker.io/library/busybox:latest'`. */
export const normalizeReference = (text: string): string => referenceString(parseReference(text));
