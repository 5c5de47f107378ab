import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { build, type BuildFailure, type Plugin } from 'esbuild';
import type { Verdict } from './judge.ts';
import { ROOT } from './learner.ts';

export interface JudgeSource {
  /** The tree whose gap is judged. */
  tree: string;
  chapter: string;
  /** The module of the workshop that judges; it exports `judgeGap(load)`. */
  judge: 'judge-process.ts' | 'grade-judge.ts';
  /** Where the tree will lie when it is judged, if not where it is now: what `import.meta.dirname` says. */
  seenAs?: string;
  /** Text that stands for a file of the tree, by its path from there. */
  instead?: ReadonlyMap<string, string>;
}

/**
 * One file that holds a judge, the exercises of a chapter, and every file of the tree that they reach. It starts in a tenth of a second,
 * where loading the files one by one takes more than one. Its errors still name the files and lines that they come from.
 * The tree's code is read, never run; it is run by the judge when that asks for it (`load`).
 *
 * Code that cannot be read, or imports what is not there, is a verdict: the learner's own error, with file and line.
 */
export async function bundleJudge(source: JudgeSource): Promise<{ code: string } | { verdict: Verdict }> {
  const { tree, chapter, judge } = source;
  const entry = `import { judgeGap } from ${JSON.stringify(join(ROOT, 'workshop', judge))};
await judgeGap(() => import(${JSON.stringify(join(tree, 'chapters', chapter, 'exercises.ts'))}));`;
  try {
    const { outputFiles } = await build({
      stdin: { contents: entry, resolveDir: ROOT, loader: 'ts' },
      bundle: true,
      write: false,
      // Where errors say that they come from, wherever this file will lie.
      outfile: join(tree, 'judge.mjs'),
      sourceRoot: `file://${source.seenAs ?? tree}/`,
      absWorkingDir: tree,
      platform: 'node',
      target: 'node20',
      format: 'esm',
      packages: 'external',
      sourcemap: 'inline',
      sourcesContent: false,
      logLevel: 'silent',
      plugins: [filesOf(source)],
    });
    return { code: outputFiles[0]!.text };
  } catch (error) {
    return { verdict: unreadable(error as BuildFailure, tree) };
  }
}

/** Files as they will be seen: with their place, and with what stands for them. Nothing outside of the tree is taken in by the tree. */
function filesOf({ tree, seenAs = tree, instead }: JudgeSource): Plugin {
  return {
    name: 'files of the tree',
    setup({ onLoad, onResolve }) {
      onResolve({ filter: /^\.{0,2}\// }, ({ path, importer, resolveDir }) => {
        if (!importer.startsWith(`${tree}/`) || join(resolveDir, path).startsWith(`${tree}/`)) return null;
        return path.startsWith('/') ? { path, external: true } : null;
      });
      onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const inTree = path.startsWith(`${tree}/`) ? relative(tree, path) : undefined;
        const text = (inTree !== undefined ? instead?.get(inTree) : undefined) ?? readFileSync(path, 'utf8');
        const seen = inTree === undefined ? path : join(seenAs, inTree);
        return { contents: placed(text, seen), loader: 'ts' };
      });
    },
  };
}

/** In one file for all, each must still find what lies beside it. */
const placed = (text: string, path: string): string =>
  text
    .replaceAll('import.meta.dirname', JSON.stringify(dirname(path)))
    .replaceAll('import.meta.filename', JSON.stringify(path));

function unreadable(failure: BuildFailure, tree: string): Verdict {
  const [first] = failure.errors ?? [];
  if (!first) return { verdict: 'error', message: String(failure) };
  const { text, location } = first;
  const file = location && relative(tree, join(tree, location.file));
  return {
    verdict: 'error',
    message: `SyntaxError: ${text}${location?.lineText ? `\n${location.lineText.trim()}` : ''}`,
    ...(location && { where: `${file}:${location.line}` }),
  };
}
