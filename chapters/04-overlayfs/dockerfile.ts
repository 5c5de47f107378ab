import { invalidArgument } from './errors.ts';

/** One line of a Dockerfile, continuation lines joined. */
export interface Instruction {
  /** `RUN`, in capitals whatever the file has */
  name: string;
  /** `--from=build` → `{from: ['build']}` */
  flags: Record<string, string[]>;
  /** What was written as a JSON array, item by item; `undefined` where it was not. */
  list: string[] | undefined;
  /** What was written, without name and flags. */
  text: string;
  /** The line on which it begins, from 1. */
  line: number;
}

/** What follows a FROM, up to the next. */
export interface Stage {
  from: Instruction;
  /** An image, the name of an earlier stage, or `scratch`. Variables are not filled in yet. */
  base: string;
  /** `AS name` */
  name: string | undefined;
  instructions: Instruction[];
}

export interface Dockerfile {
  /** ARGs before the first FROM: for the FROMs alone, unless a stage asks for one by name. */
  args: Instruction[];
  stages: Stage[];
  /** What joins lines and takes a `$` its meaning: `\`, or a backtick by directive. */
  escape: string;
}

const KNOWN = [
  ...[
    'ADD',
    'ARG',
    'CMD',
    'COPY',
    'ENTRYPOINT',
    'ENV',
    'EXPOSE',
    'FROM',
    'HEALTHCHECK',
    'LABEL',
    'MAINTAINER',
  ],
  ...['ONBUILD', 'RUN', 'SHELL', 'STOPSIGNAL', 'USER', 'VOLUME', 'WORKDIR'],
];
/** Which flags an instruction takes, of those that a builder without BuildKit knows. */
const FLAGS: Record<string, readonly string[]> = {
  FROM: ['platform'],
  COPY: ['from', 'chown', 'chmod'],
  ADD: ['chown', 'chmod'],
  HEALTHCHECK: ['interval', 'timeout', 'start-period', 'start-interval', 'retries'],
};
/** Which take a list in JSON's form. */
const LISTS = ['ADD', 'CMD', 'COPY', 'ENTRYPOINT', 'HEALTHCHECK', 'RUN', 'SHELL', 'VOLUME'];

/**
 * Reads a Dockerfile. Variables are left as they are: what they mean depends on where one is.
 * Source: Dockerfile reference; moby/buildkit, frontend/dockerfile/parser.
 * @throws StoreError INVALID_ARGUMENT `dockerfile parse error on line N: …`
 */
export function parseDockerfile(text: string): Dockerfile {
  const lines = text.replace(/^\ufeff/, '').split(/\r?\n/);
  const escape = escapeDirective(lines);
  const file: Dockerfile = { args: [], stages: [], escape };
  for (const instruction of joined(lines, escape).map(parseInstruction)) {
    if (instruction.name === 'FROM') file.stages.push(beginStage(instruction));
    else if (file.stages.length > 0) file.stages.at(-1)!.instructions.push(instruction);
    else if (instruction.name === 'ARG') file.args.push(instruction);
    else
      bad(
        instruction.line,
        `no build stage in current context: ${instruction.name} comes before the first FROM`,
      );
  }
  if (file.stages.length === 0)
    throw invalidArgument('the Dockerfile has no FROM: there is nothing to build');
  return file;
}

export function bad(line: number, why: string): never {
  throw invalidArgument(`dockerfile parse error on line ${line}: ${why}`);
}

/** `# escape=\``: only among the comments at the very top. */
function escapeDirective(lines: readonly string[]): string {
  for (const [i, line] of lines.entries()) {
    const [, name, value] = /^\s*#\s*(\w+)\s*=\s*(\S+)\s*$/.exec(line) ?? [];
    if (name === undefined) break;
    if (name.toLowerCase() !== 'escape') continue;
    if (value !== '\\' && value !== '`')
      bad(i + 1, `invalid escape ${JSON.stringify(value)}: it is \\ or \``);
    return value!;
  }
  return '\\';
}

/** Lines that end in the escape character go on with the next; comments and empty lines between them are passed over. */
function joined(lines: readonly string[], escape: string): { text: string; line: number }[] {
  const result: { text: string; line: number }[] = [];
  let open: { text: string; line: number } | undefined;
  for (const [i, line] of lines.entries()) {
    if (/^\s*(#|$)/.test(line)) continue;
    const start: { text: string; line: number } = open ?? { text: '', line: i + 1 };
    const whole = line.trimEnd();
    const goesOn = whole.endsWith(escape);
    start.text += goesOn ? whole.slice(0, -1) : line;
    open = goesOn ? start : undefined;
    if (!goesOn) result.push(start);
  }
  if (open) result.push(open);
  return result.map(({ text, line }) => ({ text: text.trim(), line }));
}

function parseInstruction({ text, line }: { text: string; line: number }): Instruction {
  const [, word = '', rest = ''] = /^(\S+)\s*(.*)$/s.exec(text) ?? [];
  const name = word.toUpperCase();
  if (!KNOWN.includes(name)) bad(line, `unknown instruction: ${word}`);
  if (/^(RUN|COPY|ADD)$/.test(name) && /(^|\s)<<-?["']?\w/.test(rest))
    bad(line, `${name} with a here-document needs BuildKit`);
  const flags: Record<string, string[]> = {};
  let left = rest;
  for (
    let match = /^--([\w-]+)(?:=(\S*))?\s*/.exec(left);
    match;
    match = /^--([\w-]+)(?:=(\S*))?\s*/.exec(left)
  ) {
    const [all, flag, value] = match;
    if (!FLAGS[name]?.includes(flag!)) {
      if (name === 'RUN' || name === 'COPY' || name === 'ADD') bad(line, `${name} --${flag} needs BuildKit`);
      bad(line, `unknown flag: ${name} --${flag}`);
    }
    if (!value) bad(line, `${name} --${flag} needs a value: --${flag}=VALUE`);
    (flags[flag!] ??= []).push(value!);
    left = left.slice(all.length);
  }
  if (left === '') bad(line, `${name} requires at least one argument`);
  return { name, flags, list: LISTS.includes(name) ? jsonList(left) : undefined, text: left, line };
}

/** Only an array of strings is a list; what merely looks like one is text. */
export function jsonList(text: string): string[] | undefined {
  if (!text.startsWith('[')) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  } catch {
    // Text.
  }
  return undefined;
}

function beginStage(from: Instruction): Stage {
  const [base = '', as, name, ...more] = from.text.split(/\s+/);
  if (more.length > 0 || (as !== undefined && (as.toUpperCase() !== 'AS' || name === undefined)))
    bad(from.line, 'FROM takes an image, and perhaps AS and a name');
  if (name !== undefined && !/^[a-z][a-z0-9-_.]*$/i.test(name))
    bad(
      from.line,
      `invalid name for build stage: ${JSON.stringify(name)}: a letter, then letters, digits, - _ and .`,
    );
  return { from, base, name: name?.toLowerCase(), instructions: [] };
}
