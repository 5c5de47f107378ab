import { posix } from 'node:path';

/** A part of the layer that a learner writes: a marked region, from `//#gap 02.3 pivotRoot` to `//#end`. */
export interface Gap {
  /** Chapter and count: `02.3`. */
  id: string;
  /** What is to be written: `pivotRoot`. */
  name: string;
  /** The chapter's folder: `02-namespaces`. */
  chapter: string;
  /** Path from the repository: `chapters/02-namespaces/pivot-root.ts`. */
  file: string;
  /** The line of the opening marker, from 1. */
  line: number;
  /** The reference's own lines, without the markers. */
  body: string;
  /** How many of those lines are code: neither blank nor comment. */
  lines: number;
}

const OPEN = /^(\s*)\/\/#gap (\S+) (.+?)\s*$/;
const CLOSE = /^\s*\/\/#end\s*$/;

/** The gaps of one file, in its order. @throws Error naming file and line for a marker that does not fit */
export function gapsOf(file: string, source: string): Gap[] {
  const gaps: Gap[] = [];
  const lines = source.split('\n');
  let open: { id: string; name: string; line: number } | undefined;
  lines.forEach((text, i) => {
    const where = `${file}:${i + 1}`;
    const marker = OPEN.exec(text);
    if (marker) {
      if (open) throw new Error(`${where}: gap ${marker[2]} begins inside gap ${open.id}`);
      open = { id: marker[2]!, name: marker[3]!, line: i + 1 };
    } else if (/^\s*\/\/#gap\b/.test(text))
      throw new Error(`${where}: a gap needs a number and a name: //#gap 02.3 pivotRoot`);
    if (!CLOSE.test(text)) return;
    if (!open) throw new Error(`${where}: //#end without a gap`);
    const body = lines.slice(open.line, i).join('\n');
    gaps.push({ ...open, file, chapter: chapterOf(file, open.id), body, lines: codeLines(body) });
    open = undefined;
  });
  if (open) throw new Error(`${file}:${open.line}: gap ${open.id} has no //#end`);
  return gaps;
}

/** The gaps of a tree's chapters, in the order of their numbers. @throws Error when a number is there twice */
export function findGaps(sources: ReadonlyMap<string, string>): Gap[] {
  const layers = [...sources].filter(([file]) => /^chapters\/[^/]+\/[^/]+\.ts$/.test(file));
  const gaps = layers.flatMap(([file, source]) => gapsOf(file, source));
  gaps.sort((a, b) => a.id.localeCompare(b.id, 'en', { numeric: true }));
  const twice = gaps.find((gap, i) => gap.id === gaps[i - 1]?.id);
  if (twice)
    throw new Error(
      `gap ${twice.id} is there twice: ${gaps
        .filter((g) => g.id === twice.id)
        .map((g) => g.file)
        .join(', ')}`,
    );
  return gaps;
}

/**
 * The file as a learner gets it: each gap throws `NotImplemented`, signatures, comments and types stay. What a gap would have used
 * stays imported. A file without gaps is returned as it is.
 */
export function stubbed(file: string, source: string): string {
  return gapsOf(file, source).reduce(
    (text, { id, name }) => withGap(file, text, id, `throw new NotImplemented('${id} ${name}');`),
    withImport(file, source),
  );
}

/** The file with one gap's body replaced; the replacement is indented as the gap is. @throws Error for an unknown gap */
export function withGap(file: string, source: string, id: string, body: string): string {
  const gap = gapsOf(file, source).find((g) => g.id === id);
  if (!gap) throw new Error(`${file} has no gap ${id}`);
  const lines = source.split('\n');
  const indent = OPEN.exec(lines[gap.line - 1]!)![1]!;
  const replacement = reindented(body, indent);
  lines.splice(gap.line, gap.body.split('\n').length, ...replacement);
  return lines.join('\n');
}

function reindented(body: string, indent: string): string[] {
  const lines = body.split('\n');
  const least = Math.min(...lines.filter((line) => line.trim()).map((line) => /^ */.exec(line)![0].length));
  return lines.map((line) => (line.trim() ? indent + line.slice(least) : ''));
}

function withImport(file: string, source: string): string {
  if (gapsOf(file, source).length === 0 || /\bNotImplemented\b/.test(source)) return source;
  const first = 'chapters/01-processes';
  const from =
    posix.dirname(file) === first
      ? './not-implemented.ts'
      : `${posix.relative(posix.dirname(file), first)}/index.ts`;
  const statement = `import { NotImplemented } from '${from}';\n`;
  // A program's first line may name its interpreter.
  return source.startsWith('#!') ? source.replace('\n', `\n${statement}`) : statement + source;
}

function chapterOf(file: string, id: string): string {
  const chapter = /^chapters\/(\d\d)-[^/]+\//.exec(file);
  const number = /^(\d\d)\.\d+$/.exec(id)?.[1];
  if (!chapter || number !== chapter[1])
    throw new Error(`${file}: gap ${id} does not belong to this chapter`);
  return file.split('/')[1]!;
}

const codeLines = (body: string): number =>
  body.split('\n').filter((line) => line.trim() && !/^\s*(\/\/|\/?\*)/.test(line)).length;
