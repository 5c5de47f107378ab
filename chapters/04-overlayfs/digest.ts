import { createHash } from 'node:crypto';
import { invalidArgument, quoted } from './errors.ts';

/** The name of some bytes, made from the bytes alone: `sha256:` and 64 hexadecimal digits. OCI image-spec, descriptor.md. */
export type Digest = `sha256:${string}`;

/** The digest of some bytes. */
export function digestOf(data: string | Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`;
}

/**
 * A digest as it came from outside, checked: it becomes part of a path.
 * @throws StoreError INVALID_ARGUMENT
 */
export function parseDigest(text: string): Digest {
  if (!/^sha256:[0-9a-f]{64}$/.test(text))
    throw invalidArgument(`invalid digest ${quoted(text)}: sha256: and 64 hexadecimal digits`);
  return text as Digest;
}

/** The hexadecimal part. */
export const digestHex = (digest: Digest): string => digest.slice('sha256:'.length);
