import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The TypeScript of a tree, by path from its root: chapters, final and workshop, without what is built. */
export function readSources(root: string): Map<string, string> {
  const files = ['chapters', 'final', 'workshop'].flatMap((part) =>
    readdirSync(join(root, part), { recursive: true, encoding: 'utf8' }).map((file) => join(part, file)),
  );
  return new Map(
    files
      .filter((file) => file.endsWith('.ts'))
      .sort()
      .map((file) => [file, readFileSync(join(root, file), 'utf8')]),
  );
}
