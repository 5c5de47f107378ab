import { bad, type Instruction } from './dockerfile.ts';

/** `${a:-${b:-…}}`: nobody needs it so deep, and each level is a call. */
const MAX_DEPTH = 100;

/** Variables by name. */
export type Variables = ReadonlyMap<string, string>;

/**
 * A text cut into words as a shell does (quotes keep spaces, the escape character keeps anything), its variables filled in: `$name`,
 * `${name}`, `${name:-otherwise}`, `${name:+instead}`. In single quotes a dollar is a dollar.
 * Source: Dockerfile reference, "Environment replacement"; moby/buildkit, frontend/dockerfile/shell/lex.go.
 * @throws StoreError INVALID_ARGUMENT for a quote or a brace that is not closed
 */
export function words(
  text: string,
  variables: Variables,
  {
    escape,
    line,
    split = true,
    depth = 0,
  }: { escape: string; line: number; split?: boolean; depth?: number },
): string[] {
  if (depth > MAX_DEPTH) bad(line, `variables within variables, more than ${MAX_DEPTH} deep`);
  const found: string[] = [];
  let word: string | undefined;
  const add = (piece: string): void => void (word = (word ?? '') + piece);
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (/\s/.test(c) && split) {
      if (word !== undefined) found.push(word);
      word = undefined;
    } else if (c === "'") {
      const end = text.indexOf("'", i + 1);
      if (end === -1) bad(line, 'a single quote is not closed');
      add(text.slice(i + 1, end));
      i = end;
    } else if (c === '"') {
      add('');
      for (i++; text[i] !== '"'; i++) {
        if (i >= text.length) bad(line, 'a double quote is not closed');
        if (text[i] === escape && /["$\\`]/.test(text[i + 1] ?? '')) add(text[++i]!);
        else if (text[i] === '$') i = variable(text, i, { variables, add, line, depth });
        else add(text[i]!);
      }
    } else if (c === escape) add(text[++i] ?? '');
    // What is empty, and not between quotes, is no word.
    else if (c === '$')
      i = variable(text, i, { variables, add: (value) => value && add(value), line, depth });
    else add(c);
  }
  if (word !== undefined) found.push(word);
  return found;
}

/** Fills in the variable at `at`, and says where it ends. */
function variable(
  text: string,
  at: number,
  {
    variables,
    add,
    line,
    depth,
  }: { variables: Variables; add: (value: string) => unknown; line: number; depth: number },
): number {
  const plain = /^\$(\w+)/.exec(text.slice(at));
  if (plain) {
    add(variables.get(plain[1]!) ?? '');
    return at + plain[0].length - 1;
  }
  if (text[at + 1] !== '{') {
    add('$');
    return at;
  }
  let braces = 0;
  let end = at + 1;
  for (; end < text.length; end++) {
    if (text[end] === '{') braces++;
    if (text[end] === '}' && --braces === 0) break;
  }
  const [, name = '', operator, operand = ''] =
    /^(\w+)(?::([-+?]))?(.*)$/s.exec(text.slice(at + 2, end)) ?? [];
  if (end === text.length || name === '' || (operator === undefined && operand !== ''))
    bad(line, `unsupported modifier or missing brace in ${JSON.stringify(text.slice(at, end + 1))}`);
  const value = variables.get(name);
  const other = (): string =>
    words(operand, variables, { escape: '\\', line, split: false, depth: depth + 1 }).join('');
  if (operator === '?' && !value) bad(line, `${name}: ${other() || 'not set'}`);
  add(operator === '-' ? value || other() : operator === '+' ? (value ? other() : '') : (value ?? ''));
  return end;
}

/** What an instruction names, as a list in JSON's form or as words, variables filled in either way. */
export function operands({ text, list, line }: Instruction, variables: Variables, escape: string): string[] {
  if (list) return list.map((item) => words(item, variables, { escape, line, split: false }).join(''));
  return words(text, variables, { escape, line });
}

/** `name=value other="a b"`, or the older `name the rest`. */
export function pairs(
  { name, text, line }: Instruction,
  variables: Variables,
  escape: string,
): [string, string][] {
  if (!/^[^\s=]+=/.test(text)) {
    const [, key, value] = /^(\S+)\s+(.+)$/s.exec(text) ?? [];
    if (key === undefined) bad(line, `${name} must have two arguments`);
    return [
      [
        words(key!, variables, { escape, line })[0] ?? '',
        words(value!, variables, { escape, line, split: false }).join(''),
      ],
    ];
  }
  return words(text, variables, { escape, line }).map((word) => {
    const at = word.indexOf('=');
    if (at < 1)
      bad(line, `Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`);
    return [word.slice(0, at), word.slice(at + 1)];
  });
}
