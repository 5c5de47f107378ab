/** Names of images as people type them. Source: the grammar of distribution/reference. */

export interface ImageReference {
  /** `busybox`, `127.0.0.1:5000/a/b` */
  repository: string;
  tag?: string;
  digest?: string;
}

const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const DOMAIN = '(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\\[[0-9a-fA-F:]+\\])(?::\\d+)?';
const REFERENCE = new RegExp(
  `^((?:${DOMAIN}/)?${COMPONENT}(?:/${COMPONENT})*)(?::([\\w][\\w.-]{0,127}))?(?:@([a-z0-9]+:[0-9a-f]{32,}))?$`,
);

/**
 * Takes an image's name apart. An id of 64 digits is no name, and is passed on as `repository`.
 * @throws RangeError in the words of Docker's client
 */
export function parseReference(text: string): ImageReference {
  const match = REFERENCE.exec(text);
  if (match)
    return {
      repository: match[1]!,
      ...(match[2] && { tag: match[2] }),
      ...(match[3] && { digest: match[3] }),
    };
  if (/^sha256:[0-9a-f]{64}$/.test(text)) return { repository: text };
  const lower = REFERENCE.exec(text.toLowerCase());
  if (lower && !/^[^/:]+\.[^/]*\//.test(text)) {
    const name = text.replace(/(:[\w][\w.-]*)?(@.*)?$/, '');
    const path = name.includes('/') ? name : `library/${name}`;
    throw new RangeError(`invalid reference format: repository name (${path}) must be lowercase`);
  }
  throw new RangeError(
    `invalid reference format: ${JSON.stringify(text)}: give NAME[:TAG], such as busybox:latest`,
  );
}

/** The name with its tag: `busybox:latest`. */
export function familiarName(text: string): string {
  const { tag, digest } = parseReference(text);
  return tag || digest ? text : `${text}:latest`;
}

/** The name with registry and all: `docker.io/library/busybox:latest`. What has no dot, no port and is not `localhost` is no registry. */
export function canonicalName(text: string): string {
  const name = familiarName(text);
  const [first = '', ...rest] = name.split('/');
  if (rest.length && (/[.:]/.test(first) || first === 'localhost')) return name;
  return rest.length ? `docker.io/${name}` : `docker.io/library/${name}`;
}
