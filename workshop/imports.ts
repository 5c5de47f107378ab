import { posix } from 'node:path';

/** Source by path, the path relative to the repository: `chapters/01-processes/fork.ts`. */
export type Sources = ReadonlyMap<string, string>;

/**
 * What breaks the rule of layers, a sentence each; none for a sound tree. The rule: a chapter imports from the `index.ts` of
 * chapters before it and from its own files, its tests also from the tests of chapters before it, `final` imports chapters by their `index.ts`, nobody imports `final` or `workshop` but
 * themselves, koffi is imported by a chapter's `syscalls.ts` alone, and no import leads back to where it began.
 */
export function importBreaches(sources: Sources): string[] {
  const breaches: string[] = [];
  const graph = new Map<string, string[]>();
  for (const [file, source] of sources) {
    const imports = importsOf(source);
    for (const { from } of imports) {
      if (!from.startsWith('.')) {
        if (from === 'koffi' && !/^chapters\/[^/]+\/syscalls\.ts$/.test(file))
          breaches.push(`${file} imports koffi: only a chapter's syscalls.ts may`);
        continue;
      }
      const target = posix.join(posix.dirname(file), from);
      if (!sources.has(target)) breaches.push(`${file} imports ${from}: there is no ${target}`);
      const why = forbidden(file, target);
      if (why) breaches.push(`${file} imports ${target}: ${why}`);
    }
    graph.set(
      file,
      imports
        .filter((i) => !i.typeOnly && i.from.startsWith('.'))
        .map((i) => posix.join(posix.dirname(file), i.from)),
    );
  }
  return [...breaches, ...circles(graph)];
}

function forbidden(file: string, target: string): string | undefined {
  const [from, to] = [placeOf(file), placeOf(target)];
  if (from.part === to.part) return undefined;
  if (to.chapter === undefined)
    return from.chapter !== undefined || to.part !== 'final' ? `a part of its own: ${to.part}` : undefined;
  const amongTests = [file, target].every((path) => path.includes('/tests/'));
  if (!target.endsWith('/index.ts') && !amongTests)
    return `other parts may import a chapter's index.ts alone`;
  if (from.chapter !== undefined && to.chapter >= from.chapter)
    return 'a chapter imports chapters before it alone';
  return undefined;
}

function placeOf(file: string): { part: string; chapter?: number } {
  const chapter = /^(chapters\/(\d\d)-[^/]+)\//.exec(file);
  if (chapter) return { part: chapter[1]!, chapter: Number(chapter[2]) };
  return { part: file.split('/')[0]! };
}

/** The modules that a source names in import, export-from and `import()`; comments and strings elsewhere do not count. */
export function importsOf(source: string): { from: string; typeOnly: boolean }[] {
  const statements = source.matchAll(
    /^[ \t]*(?:import|export)\s+(type\s)?(?:[\w*\s{},$]*?\sfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm,
  );
  return [...statements].map((m) => ({ from: m[2] ?? m[3]!, typeOnly: m[1] !== undefined }));
}

function circles(graph: Map<string, string[]>): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const walk = (file: string, path: string[]): void => {
    const at = path.indexOf(file);
    if (at >= 0) return void found.push(`a circle of imports: ${[...path.slice(at), file].join(' → ')}`);
    if (done.has(file)) return;
    for (const next of graph.get(file) ?? []) walk(next, [...path, file]);
    done.add(file);
  };
  for (const file of graph.keys()) walk(file, []);
  return found;
}
