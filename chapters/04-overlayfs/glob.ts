/** One step through a pattern: what characters lead on, and whether it may be passed over. */
type Token =
  /** One character of a kind. */
  | { is: (character: string) => boolean }
  /** Any number of characters of a kind. */
  | { many: (character: string) => boolean }
  /** Any number of whole directories, each with its slash. */
  | 'directories';

const any = (): boolean => true;
const notSlash = (character: string): boolean => character !== '/';

/**
 * Go's filepath.Match, and `**` for any number of directories: says of a text whether the pattern fits it as a whole. All ways through
 * the pattern are followed at once, so that the time is its length by the text's, however many stars it has: a regular expression
 * that goes back and tries again may take longer than anyone waits.
 * Source: path/filepath, Match; moby/patternmatcher. Russ Cox, "Regular Expression Matching Can Be Simple And Fast".
 */
export function glob(pattern: string): (text: string) => boolean {
  const tokens = parse([...pattern]);
  return (text) => {
    let places = passing(tokens, new Set([0]));
    for (const character of text) {
      const after = new Set<number>();
      for (const place of places) step(tokens, place, character, after);
      places = passing(tokens, after);
      if (places.size === 0) return false;
    }
    return places.has(tokens.length);
  };
}

/** A place is before a token, or, as `-1 - i`, in the middle of the directories that token `i` stands for. */
function step(tokens: readonly Token[], place: number, character: string, after: Set<number>): void {
  const index = place < 0 ? -1 - place : place;
  const token = tokens[index];
  if (token === undefined) return;
  if (token === 'directories') {
    after.add(-1 - index);
    if (character === '/') after.add(index + 1);
  } else if ('many' in token) {
    if (token.many(character)) after.add(index);
  } else if (token.is(character)) after.add(index + 1);
}

/** The places and those that can be come to from them without a character. */
function passing(tokens: readonly Token[], places: Set<number>): Set<number> {
  // What is added to a set while it is walked is walked, too.
  for (const place of places) {
    const token = tokens[place];
    if (token === 'directories' || (token !== undefined && 'many' in token)) places.add(place + 1);
  }
  return places;
}

function parse(pattern: readonly string[]): Token[] {
  const tokens: Token[] = [];
  for (let i = 0; i < pattern.length; i++) {
    const c = pattern[i]!;
    if (c === '*' && pattern[i + 1] === '*') {
      i++;
      if (pattern[i + 1] === '/') {
        i++;
        tokens.push('directories');
      } else tokens.push({ many: any });
    } else if (c === '*') tokens.push({ many: notSlash });
    else if (c === '?') tokens.push({ is: notSlash });
    else if (c === '[' && endOfClass(pattern, i) !== -1) {
      const end = endOfClass(pattern, i);
      tokens.push({ is: characterClass(pattern.slice(i + 1, end)) });
      i = end;
    } else {
      const literal = c === '\\' && i + 1 < pattern.length ? pattern[++i]! : c;
      tokens.push({ is: (character) => character === literal });
    }
  }
  return tokens;
}

/** Where the bracket that is opened at `from` is closed; -1: nowhere, and it is a character like others. */
function endOfClass(pattern: readonly string[], from: number): number {
  for (let i = from + 1; i < pattern.length; i++) {
    if (pattern[i] === '\\') i++;
    else if (pattern[i] === ']' && i > from + 1) return i;
  }
  return -1;
}

/** `a-z_`, or `^a` for all but that. */
function characterClass(content: readonly string[]): (character: string) => boolean {
  const negated = content[0] === '^';
  const ranges: [string, string][] = [];
  for (let i = negated ? 1 : 0; i < content.length; i++) {
    const from = content[i] === '\\' && i + 1 < content.length ? content[++i]! : content[i]!;
    const isRange = content[i + 1] === '-' && i + 2 < content.length;
    ranges.push([from, isRange ? content[i + 2]! : from]);
    if (isRange) i += 2;
  }
  return (character) => ranges.some(([from, to]) => from <= character && character <= to) !== negated;
}
