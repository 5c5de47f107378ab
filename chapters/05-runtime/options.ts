/** One option of a verb, as data. */
export interface OptionSpec {
  /** One letter, for `-b`. */
  short?: string;
  /** What it takes: nothing, a word, a whole number, or a word each time it is given. */
  takes: 'nothing' | 'text' | 'number' | 'list';
  /** What the word is, in the help text. */
  value?: string;
  help: string;
}

export type OptionTable = Readonly<Record<string, OptionSpec>>;

/** The values of a table's options, by their long names. */
export type OptionValues<T extends OptionTable> = {
  [K in keyof T]?:
    | (T[K]['takes'] extends 'nothing'
        ? boolean
        : T[K]['takes'] extends 'number'
          ? number
          : T[K]['takes'] extends 'list'
            ? string[]
            : string)
    | undefined;
};

/** A command line that nobody can act on. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/**
 * Takes options out of a command line, in every spelling that runc takes: `--bundle DIR`, `--bundle=DIR`, `-bundle DIR`, `-b DIR`, `-b=DIR`. `--`
 * ends them.
 * @param mixed whether options may also stand after the first word that is none (not where words are a command of their own)
 * @throws UsageError naming the option
 */
export function parseOptions<T extends OptionTable>(
  table: T,
  argv: readonly string[],
  mixed: boolean,
): { options: OptionValues<T>; rest: string[] } {
  const options: Record<string, unknown> = {};
  const rest: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i]!;
    if (word === '--') return { options: options as OptionValues<T>, rest: [...rest, ...argv.slice(i + 1)] };
    const match = /^--?([^-=][^=]*)(?:=([^]*))?$/.exec(word);
    if (!match) {
      if (!mixed) return { options: options as OptionValues<T>, rest: argv.slice(i) };
      rest.push(word);
      continue;
    }
    const name = longName(table, match[1]!);
    if (name === undefined) throw new UsageError(`flag provided but not defined: -${match[1]!}`);
    const { takes } = table[name]!;
    if (takes === 'nothing') {
      options[name] = truth(name, match[2]);
      continue;
    }
    const value = match[2] ?? argv[++i];
    if (value === undefined) throw new UsageError(`flag needs an argument: -${match[1]!}`);
    if (takes === 'list') options[name] = [...((options[name] as string[] | undefined) ?? []), value];
    else options[name] = takes === 'number' ? whole(name, value) : value;
  }
  return { options: options as OptionValues<T>, rest };
}

function longName(table: OptionTable, given: string): string | undefined {
  if (Object.hasOwn(table, given)) return given;
  return Object.keys(table).find((name) => table[name]!.short === given);
}

function truth(name: string, value: string | undefined): boolean {
  if (value === undefined || value === 'true' || value === '1') return true;
  if (value === 'false' || value === '0') return false;
  throw new UsageError(
    `invalid value ${JSON.stringify(value)} for flag -${name}: true and false are allowed`,
  );
}

function whole(name: string, value: string): number {
  if (!/^-?\d+$/.test(value) || !Number.isSafeInteger(Number(value)))
    throw new UsageError(`invalid value ${JSON.stringify(value)} for flag -${name}: expected a whole number`);
  return Number(value);
}

/** The options as lines of a help text. */
export function describeOptions(table: OptionTable): string {
  const lines = Object.entries(table).map(([name, { short, takes, value, help }]) => {
    const word = takes === 'nothing' ? '' : ` ${value ?? 'VALUE'}`;
    return [`--${name}${word}${short ? `, -${short}${word}` : ''}`, help] as const;
  });
  const width = Math.max(0, ...lines.map(([left]) => left.length));
  return lines.map(([left, help]) => `   ${left.padEnd(width)}  ${help}\n`).join('');
}
