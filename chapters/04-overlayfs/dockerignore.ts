import { glob } from './glob.ts';

/**
 * `.dockerignore`: which paths of a context are left out of it. The last pattern that matches decides; `!` takes a path back in.
 * Source: Dockerfile reference, ".dockerignore file"; moby/patternmatcher.
 * @returns says of a path (`a/b`, without a slash in front) whether it is ignored; what lies in an ignored directory is ignored too
 */
export function dockerignore(text: string): (path: string) => boolean {
  const patterns = text
    .replace(/^\ufeff/, '')
    .split(/\r?\n/)
    .filter((line) => !line.startsWith('#') && line.trim() !== '')
    .map((line) => {
      const trimmed = line.trim();
      const negated = trimmed.startsWith('!');
      const pattern = cleaned(negated ? trimmed.slice(1).trim() : trimmed);
      return { negated, fits: glob(pattern) };
    });
  return (path) => {
    const parts = path.split('/');
    const above = parts.map((_, i) => parts.slice(0, i + 1).join('/'));
    let ignored = false;
    for (const { negated, fits } of patterns) if (above.some(fits)) ignored = !negated;
    return ignored;
  };
}

/** Without `.`, `..` and slashes at the ends. */
function cleaned(pattern: string): string {
  const parts: string[] = [];
  for (const part of pattern.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}
