import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { transformSync } from 'esbuild';
import { gapsOf, withGap, type Gap } from './gaps.ts';
import type { Verdict } from './judge.ts';
import { Refused, ROOT, stubOf } from './learner.ts';
import { readSources } from './sources.ts';

/** What one learner has handed in. */
export interface Submission {
  /** The folder's name, with as much of its path as tells it from the others. */
  name: string;
  /** The learner's `my/`. */
  tree: string;
}

/** The most that a learner's file may have, in bytes. */
const MOST = 64 * 1024;

/**
 * The folders that are meant. A program of the workshop's own that makes submissions (`export makeClass(into)`) stands for those that it
 * makes, below `scratch`.
 */
export async function withMade(paths: readonly string[], scratch: string): Promise<string[]> {
  const all: string[] = [];
  for (const path of paths) {
    const program = existsSync(path) && realpathSync(path);
    if (!program || !program.endsWith('.ts') || !program.startsWith(join(ROOT, 'workshop') + sep))
      all.push(path);
    else {
      const { makeClass } = (await import(program)) as { makeClass?: (into: string) => Promise<string[]> };
      if (!makeClass) throw new Refused(`${path} makes no submissions: it exports no makeClass`);
      all.push(...(await makeClass(join(scratch, basename(dirname(program))))));
    }
  }
  return all;
}

/**
 * Finds the learner's tree in each folder or git repository. A bare repository is cloned below `scratch`.
 * @throws Refused for what is no folder, or has no chapters
 */
export function findSubmissions(paths: readonly string[], scratch: string): Submission[] {
  const folders = paths.map((path) => resolve(path));
  const names = namesOf(folders);
  return folders.map((folder, i) => {
    if (!existsSync(folder)) throw new Refused(`${paths[i]}: there is no such folder`);
    if (!statSync(folder).isDirectory())
      throw new Refused(`${paths[i]} is a file: give folders or git repositories`);
    const bare = existsSync(join(folder, 'HEAD')) && existsSync(join(folder, 'objects'));
    const top = bare ? cloned(folder, join(scratch, `clone-${i}`)) : folder;
    // Handed in is `my/`, or the whole workshop with `my/` in it.
    const tree = [join(top, 'my'), top].find((each) => existsSync(join(each, 'chapters')));
    if (!tree) throw new Refused(`${paths[i]} is not a submission: it has no chapters/, and no my/chapters/`);
    return { name: names[i]!, tree };
  });
}

function cloned(from: string, to: string): string {
  const { status, stderr } = spawnSync(
    'git',
    [
      '-c',
      'core.symlinks=false',
      '-c',
      'core.hooksPath=/dev/null',
      'clone',
      '--quiet',
      '--no-local',
      '--depth',
      '1',
      `file://${from}`,
      to,
    ],
    {
      encoding: 'utf8',
      env: {
        ...process.env,
        GIT_CONFIG_COUNT: '1',
        GIT_CONFIG_KEY_0: 'safe.directory',
        GIT_CONFIG_VALUE_0: '*',
      },
    },
  );
  if (status !== 0)
    throw new Refused(`${from} cannot be cloned: ${stderr?.trim().split('\n').pop() ?? 'there is no git'}`);
  return to;
}

/** @throws Refused when one is given twice */
function namesOf(folders: readonly string[]): string[] {
  const twice = folders.find((folder, i) => folders.indexOf(folder) !== i);
  if (twice) throw new Refused(`${twice} is given twice`);
  const tail = (folder: string, parts: number): string =>
    folder.split(sep).filter(Boolean).slice(-parts).join('/');
  return folders.map((folder) => {
    for (let parts = 1; ; parts++)
      if (folders.filter((other) => tail(other, parts) === tail(folder, parts)).length === 1 || parts > 50)
        return (tail(folder, parts) || basename(folder)).replace(/\.git$/, '');
  });
}

/** The learner's code of one gap, laid into the reference's file; or the verdict, where nothing needs to be run. */
export function layIn(gap: Gap, submission: Submission): { file: string } | { verdict: Verdict } {
  const mine = learnersFile(gap, submission.tree);
  if (typeof mine !== 'string') return { verdict: mine };
  let body: string | undefined;
  try {
    body = gapsOf(gap.file, mine).find((one) => one.id === gap.id)?.body;
  } catch (error) {
    return error_(gap, (error as Error).message);
  }
  if (body === undefined)
    return error_(
      gap,
      `${gap.file} has no markers of gap ${gap.id}: //#gap ${gap.id} ${gap.name} and //#end must stand around the code`,
    );
  if (body.trim() === stubOf(gap).trim())
    return { verdict: { verdict: 'not started', gap: `${gap.id} ${gap.name}` } };
  const escape = leaves(gap, body);
  if (escape) return error_(gap, escape);
  return { file: withGap(gap.file, readFileSync(join(ROOT, gap.file), 'utf8'), gap.id, body) };
}

const error_ = (gap: Gap, message: string): { verdict: Verdict } => ({
  verdict: { verdict: 'error', message, where: gap.file },
});

/** The text of the learner's file, if it is a file of theirs: not a link to somewhere else, not a pipe. */
function learnersFile(gap: Gap, tree: string): string | Verdict {
  const path = join(tree, gap.file);
  const refused = (message: string): Verdict => ({ verdict: 'error', message, where: gap.file });
  if (!existsSync(path)) return refused(`${gap.file} was not handed in`);
  const stat = lstatSync(path);
  if (!stat.isFile() || !realpathSync(path).startsWith(realpathSync(tree) + sep))
    return refused(`${gap.file} is not a file of this submission`);
  if (stat.size > MOST) return refused(`${gap.file} has ${stat.size} bytes: at most ${MOST} are read`);
  return readFileSync(path, 'utf8').replaceAll('\r\n', '\n');
}

/** Why a gap's code may not be laid in: it is not what can stand there, or it closes more brackets than it opens, to go on outside. */
function leaves(gap: Gap, body: string): string | undefined {
  const frames = [
    (text: string) => `(async function () {\n${text}\n})`,
    (text: string) => `(class {\n${text}\n})`,
    (text: string) => `({\n${text}\n})`,
  ];
  // A gap is a part of a function, or of a class or object: the reference tells which.
  const frame = frames.find((each) => problemIn(each(gap.body)) === undefined);
  const problem = frame && problemIn(frame(body));
  if (!problem) return undefined;
  return `the code of the gap cannot be read: ${problem}`;
}

function problemIn(source: string): string | undefined {
  try {
    transformSync(source, { loader: 'ts', logLevel: 'silent' });
    return undefined;
  } catch (error) {
    const { text, location } = (error as { errors?: { text: string; location?: { line: number } }[] })
      .errors?.[0] ?? {
      text: String(error),
    };
    return location ? `${text} (line ${location.line - 1} of the gap)` : text;
  }
}

/** Copies what a check needs of the reference into one folder, which the sandboxes copy in turn. Returns the folder. */
export function referenceTree(scratch: string): string {
  const folder = join(scratch, 'reference');
  mkdirSync(join(scratch, 'top'));
  for (const [file, source] of readSources(ROOT)) {
    if (/\/tests\//.test(file)) continue;
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), source);
  }
  for (const name of ['package.json', 'tsconfig.json']) cpSync(join(ROOT, name), join(folder, name));
  return folder;
}
