/** A ```console block of a lesson: what was typed, and what came. */
export interface Transcript {
  /** The line of its fence, from 1. */
  line: number;
  /** Why no test runs it again, when none does: ```console unchecked: needs a registry. */
  unchecked?: string;
  /** In order. What stands before the first command belongs to an empty one: it is from the chapter's demo. */
  entries: Entry[];
}

export interface Entry {
  command: string;
  /** What it printed, or a part of that. */
  output: string[];
}

/** The transcripts of a lesson. */
export function transcriptsOf(markdown: string): Transcript[] {
  const found: Transcript[] = [];
  let open: Transcript | undefined;
  let fenced = false;
  markdown.split('\n').forEach((text, i) => {
    const fence = /^```(\S*)\s*(.*)$/.exec(text);
    if (fence && !fenced && fence[1] === 'console') {
      const unchecked = /^unchecked: *(\S.*)$/.exec(fence[2]!)?.[1];
      found.push((open = { line: i + 1, entries: [], ...(unchecked && { unchecked }) }));
    } else if (fence) open = undefined;
    else if (open) take(open.entries, text);
    if (fence) fenced = !fenced;
  });
  return found;
}

function take(entries: Entry[], text: string): void {
  const last = entries.at(-1);
  const command = /^[$#] (.*)$/.exec(text)?.[1];
  if (command !== undefined) entries.push({ command, output: [] });
  else if (last?.output.length === 0 && last.command.endsWith('\\')) last.command += `\n${text}`;
  else if (last) last.output.push(text);
  else entries.push({ command: '', output: [text] });
}

/**
 * The recorded lines that a run does not show, in order; none when it still is what was recorded. A transcript may show a part of a run,
 * and a part of its lines. Columns and what differs from run to run do not count: process numbers, inodes, times, addresses, every
 * word that has a digit in it. `…` stands for anything.
 */
export function missingLines(recorded: readonly string[], run: string): string[] {
  const said = normal(run);
  let at = 0;
  return recorded.filter((line) => {
    const pattern = patternOf(line);
    if (!pattern) return false;
    pattern.lastIndex = at;
    const found = pattern.exec(said);
    if (found) at = pattern.lastIndex;
    return !found;
  });
}

/** The numbers of recorded lines, such as process numbers, and what they are in this run: a later command names them. */
export function numbersIn(recorded: readonly string[], run: string): Map<string, string> {
  const numbers = new Map<string, string>();
  for (const line of recorded) {
    const pattern = patternOf(line);
    const same = pattern && run.split('\n').find((each) => normal(each).search(pattern) >= 0);
    const [before = [], now = []] = [line, same ?? ''].map((text) => text.match(/\b\d+\b/g) ?? []);
    before.forEach((number, i) => now[i] !== undefined && numbers.set(number, now[i]));
  }
  return numbers;
}

/** How much of a run a `…` may stand for, in characters. */
const MOST = 4000;

function patternOf(line: string): RegExp | undefined {
  const text = normal(line);
  if (text.replace(/[…#\s]/g, '') === '') return undefined;
  const parts = text.split(/ ?… ?/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`(?<!\\w)${parts.join(`.{0,${MOST}}?`)}(?!\\w)`, 'gs');
}

/** Words of chance that need not have a digit: what the demos call things. */
const NAMES = /\b(box|pinned|release-agent)-\w+/g;
/** The state of a process as `ps` says it, without whether it is nice, in the foreground, or leads a session. */
const STATE = /\b([SRDZTI])[sNl+<L]+(?= +\d+:\d\d)/g;
/** What a demo writes before the first line of each kind, and the branches that `ps` draws: an excerpt begins where it likes. */
const DRAWING = /^( *(WHY|CALL|EVIDENCE|NOTE|CLEAN-UP)(?= )|[ |`\\_]+(?=\s))/gm;

const normal = (text: string): string =>
  text
    .replace(/\x1b\[[\d;]*m/g, '')
    .replace(DRAWING, ' ')
    .replace(/(?<= )[|\\`]_?(?= )/g, ' ')
    .replace(STATE, '$1')
    .replace(NAMES, '#')
    .replace(/[^\s()[\]{}"'=,:/]*\d[^\s()[\]{}"'=,:/…]*/g, '#')
    .replace(/\s+/g, ' ')
    .trim();
