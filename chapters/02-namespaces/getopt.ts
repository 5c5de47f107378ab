/** An option of a program, in the manner of util-linux: `-t`, `--target`. */
export interface OptionSpec {
  /** One letter; left out where the option has only a long name. */
  short?: string;
  long: string;
  /** `required`: `-t 7`, `-t7`, `--target 7`, `--target=7`. `optional`: only in the same word, `-m/file`, `--mount=/file`. Default: none. */
  value?: 'required' | 'optional';
}

/** One option as it was given, by its long name. */
export interface GivenOption {
  name: string;
  value?: string;
}

/** A command line that cannot be understood; the message is what getopt(3) says. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/**
 * Takes a command line apart as getopt_long(3) does when its string begins with `+`: options end at the first word that is none, or
 * after `--`. What follows belongs to somebody else: the program that nsenter starts.
 * @throws UsageError
 */
export function getopt(
  args: readonly string[],
  specs: readonly OptionSpec[],
): { options: GivenOption[]; rest: string[] } {
  const options: GivenOption[] = [];
  const words = [...args];
  while (words.length > 0 && /^-./.test(words[0]!)) {
    const word = words.shift()!;
    if (word === '--') break;
    if (word.startsWith('--')) options.push(longOption(word, words, specs));
    else options.push(...shortOptions(word.slice(1), words, specs));
  }
  return { options, rest: words };
}

function longOption(word: string, words: string[], specs: readonly OptionSpec[]): GivenOption {
  const [, name, value] = /^--([^=]*)(?:=(.*))?$/s.exec(word)!;
  const spec = specs.find(({ long }) => long === name);
  if (!spec) throw new UsageError(`unrecognized option '--${name}'`);
  if (value !== undefined) {
    if (!spec.value) throw new UsageError(`option '--${name}' doesn't allow an argument`);
    return { name: spec.long, value };
  }
  if (spec.value !== 'required') return { name: spec.long };
  if (words.length === 0) throw new UsageError(`option '--${name}' requires an argument`);
  return { name: spec.long, value: words.shift()! };
}

/** `-ut7`: letters without a value may stand together; one that takes a value takes the rest of the word. */
function shortOptions(letters: string, words: string[], specs: readonly OptionSpec[]): GivenOption[] {
  const spec = specs.find(({ short }) => short === letters[0]);
  const rest = letters.slice(1);
  if (!spec) throw new UsageError(`invalid option -- '${letters[0]}'`);
  if (!spec.value) return [{ name: spec.long }, ...(rest ? shortOptions(rest, words, specs) : [])];
  if (rest) return [{ name: spec.long, value: rest }];
  if (spec.value === 'optional') return [{ name: spec.long }];
  if (words.length === 0) throw new UsageError(`option requires an argument -- '${letters[0]}'`);
  return [{ name: spec.long, value: words.shift()! }];
}
