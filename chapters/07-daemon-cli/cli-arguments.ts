import { STATUS_REFUSED, CommandError, type CliCommand, type CliOption } from './cli-command.ts';

/**
 * Rewrites what Docker's client understands and commander does not: `--rm=false` and `--rm=true`, `-m=64m`, `container ls`
 * for `ps`. Stops where the container's own command begins.
 * @throws CommandError for a flag that no command has, and one without its value
 */
export function rewriteArguments(
  argv: readonly string[],
  globals: readonly CliOption[],
  commands: readonly CliCommand[],
): string[] {
  const global = rewriteFlags(argv, globals, '', true);
  const [name = '', second = ''] = global.rest;
  const named = commands.find((command) => command.name === name);
  const both = `${name} ${second}`;
  const long = commands.find((command) => command.name === both || command.aliases?.includes(both));
  const command = named ?? long;
  if (!command) return [...global.flags, ...global.rest];
  const own = global.rest.slice(named ? 1 : 2);
  const { flags, rest } = rewriteFlags(own, command.options, command.name, command.passThrough ?? false);
  return [...global.flags, command.name, ...flags, ...rest];
}

/** Splits into flags (with operands between them, unless operands end them) and the rest that is not looked at. */
function rewriteFlags(
  argv: readonly string[],
  options: readonly CliOption[],
  command: string,
  operandEnds: boolean,
): { flags: string[]; rest: string[] } {
  const flags: string[] = [];
  for (let i = 0; i < argv.length; i += 1) {
    const word = argv[i]!;
    const isFlag = word.startsWith('-') && word !== '-';
    if (word === '--' || (!isFlag && operandEnds)) return { flags, rest: argv.slice(i) };
    if (!isFlag) flags.push(word);
    else if (word === '--help') flags.push(word);
    else {
      const rewritten = word.startsWith('--')
        ? rewriteLong(word, options, command)
        : rewriteShort(word, options, command);
      flags.push(...rewritten.words);
      if (!rewritten.needsValue) continue;
      i += 1;
      const value = argv[i];
      if (value === undefined) throw refuse(`flag needs an argument: ${word}`, command);
      // As one word, so that a value may begin with a dash: `--memory-swap -1`.
      flags.push(...joinValue(flags.pop()!, value));
    }
  }
  return { flags, rest: [] };
}

interface Rewritten {
  words: string[];
  needsValue: boolean;
}

function rewriteLong(word: string, options: readonly CliOption[], command: string): Rewritten {
  const at = word.indexOf('=');
  const name = at < 0 ? word : word.slice(0, at);
  const option = options.find(({ flags }) => flags.split(/, | /).includes(name));
  if (!option) throw refuse(`unknown flag: ${name}${didYouMean(name, options)}`, command);
  if (takesValue(option)) return { words: [word], needsValue: at < 0 };
  if (at < 0) return { words: [word], needsValue: false };
  const value = word.slice(at + 1);
  const truth = TRUTH[value];
  if (truth === undefined)
    throw refuse(
      `invalid argument ${JSON.stringify(value)} for "${option.flags}" flag: give true or false`,
      command,
    );
  // A flag that is true unless denied is declared as its denial.
  const denial = `--no-${name.slice(2)}`;
  return {
    words: truth ? [name] : options.some(({ flags }) => flags === denial) ? [denial] : [],
    needsValue: false,
  };
}

const TRUTH: Readonly<Record<string, boolean>> = {
  true: true, True: true, TRUE: true, t: true, T: true, '1': true,
  false: false, False: false, FALSE: false, f: false, F: false, '0': false,
}; // prettier-ignore

/** `-it`, `-m64m`, `-m=64m`, `-t=false`: letters, the last of which may take the rest as its value. */
function rewriteShort(word: string, options: readonly CliOption[], command: string): Rewritten {
  const words: string[] = [];
  for (let i = 1; i < word.length; i += 1) {
    const flag = `-${word[i]}`;
    const option = options.find(({ flags }) => flags.startsWith(`${flag},`) || flags === flag);
    if (!option) throw refuse(`unknown shorthand flag: '${word[i]}' in ${word}`, command);
    if (!takesValue(option) && word[i + 1] === '=') {
      const truth = rewriteLong(longName(option) + word.slice(i + 1), options, command);
      return { words: [...words, ...truth.words], needsValue: false };
    }
    words.push(flag);
    if (!takesValue(option)) continue;
    const value = word.slice(i + 1);
    if (value === '') return { words, needsValue: true };
    return { words: [...words.slice(0, -1), ...joinValue(flag, value.replace(/^=/, ''))], needsValue: false };
  }
  return { words, needsValue: false };
}

const longName = ({ flags }: CliOption): string => /--[a-z-]+/.exec(flags)![0];

const takesValue = ({ flags }: CliOption): boolean => flags.includes('<');

const joinValue = (flag: string, value: string): string[] =>
  flag.startsWith('--') ? [`${flag}=${value}`] : value === '' ? [flag, value] : [`${flag}${value}`];

function refuse(message: string, command: string): CommandError {
  return new CommandError(message, STATUS_REFUSED, { helpOf: command });
}

/** The flag that was probably meant: one that differs by a letter. */
function didYouMean(name: string, options: readonly CliOption[]): string {
  const longs = options.map(longName);
  const near = longs.find((long) => distance(long, name) <= (name.length > 6 ? 2 : 1));
  return near ? ` (did you mean ${near}?)` : '';
}

/** How many letters to put in, take out or change to make one word of the other (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1)
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length]!;
}
