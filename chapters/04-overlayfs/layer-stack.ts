import { failedPrecondition } from './errors.ts';
import type { Mount } from './mounts.ts';

/** A writable directory and what it lies on, the nearest first. */
export interface LayerStack {
  upper: string;
  lowers: string[];
  /** overlayfs keeps its attributes as `user.overlay.*`, as it does for who is not root. Default: `trusted.overlay.*`. */
  userxattr?: boolean;
}

/**
 * The directories behind a snapshot's mounts.
 * @throws StoreError FAILED_PRECONDITION when they are not those of one writable snapshot
 */
export function layersOf(mounts: readonly Mount[]): LayerStack {
  const [mount] = mounts;
  if (mounts.length === 1 && mount?.type === 'bind') return { upper: mount.source, lowers: [] };
  const option = (name: string): string | undefined =>
    mount?.options.find((option) => option.startsWith(`${name}=`))?.slice(name.length + 1);
  const [upper, lower] = [option('upperdir'), option('lowerdir')];
  if (mounts.length !== 1 || mount?.type !== 'overlay' || !upper || !lower)
    throw failedPrecondition('only the changes of one writable overlay or directory can be told');
  return {
    upper,
    lowers: lower.split(':'),
    ...(mount.options.includes('userxattr') && { userxattr: true }),
  };
}
