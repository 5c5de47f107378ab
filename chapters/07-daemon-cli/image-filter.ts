import { familiarString, glob, parseReference } from '../04-overlayfs/index.ts';
import { apiTime } from './api-time.ts';
import { badParameter } from './api-error.ts';
import { hasLabel } from './container-filter.ts';
import type { LocalImage } from './images.ts';

/** When an image was made: milliseconds since 1970; long ago where it does not say. */
export const createdAt = ({ config }: LocalImage): number => Date.parse(config.created ?? '') || -Infinity;

/**
 * Whether a name fits a pattern as people see it, with its tag or without: `app`, `app:1*`, `team/*`.
 * @throws ApiError 400 for a pattern that is none
 */
export function referenceFilter(patterns: readonly string[]): (name: string) => boolean {
  const globs = patterns.map((pattern) => {
    if (!isPattern(pattern)) throw badParameter('syntax error in pattern');
    // Here two stars are no more than one.
    return glob(pattern.replace(/(\\.)|\*+/gs, (_, escaped?: string) => escaped ?? '*'));
  });
  return (name) => {
    const { domain, path, tag, digest } = parseReference(name);
    const whole = familiarString({ domain, path, ...(tag && { tag }), ...(digest && { digest }) });
    return globs.some((fits) => fits(whole) || fits(familiarString({ domain, path })));
  };
}

/** Whether every bracket of a pattern is closed, and nothing is escaped at its end. Go's path.Match refuses others. */
const isPattern = (pattern: string): boolean => /^(?:[^[\\]|\\.|\[(?:[^\]\\]|\\.)+\])*$/s.test(pattern);

/** Labels that an image must have, and with `label!` must not have. */
export function labelFilter(filters: ReadonlyMap<string, string[]>): (image: LocalImage) => boolean {
  const [wanted, unwanted] = [filters.get('label') ?? [], filters.get('label!') ?? []];
  return ({ config }) => {
    const labels = config.config?.Labels ?? {};
    return (
      wanted.every((label) => hasLabel(labels, label)) && !unwanted.some((label) => hasLabel(labels, label))
    );
  };
}

/** The moment of `until=10m` or `until=2026-01-01`, milliseconds since 1970; undefined where nothing is said. @throws ApiError 400 */
export function untilFilter(filters: ReadonlyMap<string, string[]>): number | undefined {
  const [text, more] = filters.get('until') ?? [];
  if (text === undefined) return undefined;
  if (more !== undefined) throw badParameter('more than one until filter specified');
  try {
    return Number(apiTime(text, Date.now())) * 1000;
  } catch (error) {
    throw badParameter((error as Error).message, error);
  }
}

/** `dangling=true`: true, `dangling=false`: false, both are one too many, and true wins as in Docker. @throws ApiError 400 */
export function danglingFilter(filters: ReadonlyMap<string, string[]>): boolean | undefined {
  const values = filters.get('dangling');
  if (values === undefined) return undefined;
  if (values.some((value) => value === 'true' || value === '1')) return true;
  if (values.every((value) => value === 'false' || value === '0')) return false;
  throw badParameter(`invalid filter 'dangling=[${values.join(' ')}]'`);
}
