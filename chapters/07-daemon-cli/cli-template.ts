/**
 * The part of Go's templates that people type after `--format`: fields (`{{.State.Pid}}`), `json`, `index`, `len`, `join`, `upper`, `lower`, `printf`, `eq`;
 * `{{range .X}}…{{else}}…{{end}}`, `{{range $k, $v := .X}}`, `{{if .X}}…{{else}}…{{end}}`, `{{with .X}}`, pipes, `$`. Source: Go, text/template.
 */

export type Template = (data: unknown) => string;

interface Scope {
  dot: unknown;
  variables: Readonly<Record<string, unknown>>;
}

type Node =
  | { kind: 'text'; text: string }
  | { kind: 'value'; source: string }
  | { kind: 'block'; word: 'range' | 'if' | 'with'; source: string; body: Node[]; otherwise: Node[] };

/**
 * Reads a template once, to be used for many values.
 * @throws Error, `template parsing error: …`, for what is no template, or one with words that are not known here
 */
export function parseTemplate(text: string): Template {
  const tokens = tokenize(text);
  const [nodes, at] = parseNodes(tokens, 0, false);
  if (at < tokens.length) throw templateError('unexpected {{end}} or {{else}}');
  return (data) => render(nodes, { dot: data, variables: { $: data } });
}

const templateError = (message: string): Error => new Error(`template parsing error: template: ${message}`);

type Token = { text: string } | { action: string };

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  // `{{-` and `-}}` take the white space beside them away.
  const pattern = /(\s*\{\{-\s|\{\{)((?:"(?:\\.|[^"\\])*"|`[^`]*`|(?!\}\}).)*?)(\s-\}\}\s*|\}\})/gs;
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    tokens.push({ text: text.slice(end, match.index) }, { action: match[2]!.trim() });
    end = match.index + match[0].length;
  }
  const rest = text.slice(end);
  if (rest.includes('{{')) throw templateError(`unclosed action in ${JSON.stringify(text)}`);
  return [...tokens, { text: rest }];
}

function parseNodes(tokens: readonly Token[], start: number, inside: boolean): [Node[], number] {
  const nodes: Node[] = [];
  let at = start;
  while (at < tokens.length) {
    const token = tokens[at]!;
    at += 1;
    if ('text' in token) {
      if (token.text) nodes.push({ kind: 'text', text: token.text });
      continue;
    }
    const { action } = token;
    if (action === 'end' || action === 'else' || action.startsWith('else if')) {
      if (!inside) throw templateError(`unexpected {{${action}}}`);
      return [nodes, at - 1];
    }
    const block = /^(range|if|with)\s+(.+)$/s.exec(action);
    if (!block) {
      if (action && !action.startsWith('/*')) nodes.push({ kind: 'value', source: action });
      continue;
    }
    const parsed = parseBlock(block[1] as 'range' | 'if' | 'with', block[2]!, tokens, at);
    nodes.push(parsed.node);
    at = parsed.at;
  }
  if (inside) throw templateError('unexpected EOF: an {{end}} is missing');
  return [nodes, at];
}

function parseBlock(
  word: 'range' | 'if' | 'with',
  source: string,
  tokens: readonly Token[],
  start: number,
): { node: Node; at: number } {
  const [body, closing] = parseNodes(tokens, start, true);
  const action = (tokens[closing] as { action: string }).action;
  const chained = /^else if\s+(.+)$/s.exec(action);
  if (chained) {
    const { node, at } = parseBlock('if', chained[1]!, tokens, closing + 1);
    return { node: { kind: 'block', word, source, body, otherwise: [node] }, at };
  }
  if (action === 'end')
    return { node: { kind: 'block', word, source, body, otherwise: [] }, at: closing + 1 };
  const [otherwise, end] = parseNodes(tokens, closing + 1, true);
  return { node: { kind: 'block', word, source, body, otherwise }, at: end + 1 };
}

function render(nodes: readonly Node[], scope: Scope): string {
  return nodes
    .map((node) => {
      if (node.kind === 'text') return node.text;
      if (node.kind === 'value') return goString(evaluate(node.source, scope), true);
      return renderBlock(node, scope);
    })
    .join('');
}

function renderBlock(node: Extract<Node, { kind: 'block' }>, scope: Scope): string {
  const assigned = /^(?:(\$\w+)(?:\s*,\s*(\$\w+))?\s*:=\s*)?(.+)$/s.exec(node.source)!;
  const [, first, second, source] = assigned;
  const value = evaluate(source!, scope);
  if (!truthy(value)) return render(node.otherwise, scope);
  if (node.word !== 'range') {
    const variables = first ? { ...scope.variables, [first]: value } : scope.variables;
    return render(node.body, { dot: node.word === 'with' ? value : scope.dot, variables });
  }
  const entries: [unknown, unknown][] = Array.isArray(value)
    ? value.map((item, index) => [index, item])
    : Object.entries(value as object).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries
    .map(([key, item]) => {
      const variables = {
        ...scope.variables,
        ...(first && (second ? { [first]: key, [second]: item } : { [first]: item })),
      };
      return render(node.body, { dot: item, variables });
    })
    .join('');
}

/** A pipe: each part's value is the last argument of the next. */
function evaluate(source: string, scope: Scope): unknown {
  let piped: [unknown] | [] = [];
  for (const stage of splitWords(source, '|')) {
    const words = splitWords(stage.trim(), ' ');
    piped = [call(words, scope, piped)];
  }
  return piped[0];
}

function call([head = '', ...rest]: readonly string[], scope: Scope, piped: readonly unknown[]): unknown {
  const values = (): unknown[] => [...rest.map((word) => operand(word, scope)), ...piped];
  const apply = FUNCTIONS[head];
  if (apply) return apply(...values());
  if (rest.length || piped.length) throw templateError(`function "${head}" not defined`);
  return operand(head, scope);
}

const FUNCTIONS: Readonly<Record<string, (...args: unknown[]) => unknown>> = {
  json: (value) => goJson(value),
  len: (value) =>
    typeof value === 'string' || Array.isArray(value) ? value.length : Object.keys(value as object).length,
  index: (value, ...keys) =>
    keys.reduce((from, key) => (from as Record<string, unknown> | undefined)?.[String(key)], value),
  join: (list, separator) => (list as unknown[]).map((item) => goString(item)).join(String(separator)),
  split: (text, separator) => String(text).split(String(separator)),
  upper: (text) => String(text).toUpperCase(),
  lower: (text) => String(text).toLowerCase(),
  title: (text) => String(text).replace(/\b\w/g, (letter) => letter.toUpperCase()),
  truncate: (text, length) => String(text).slice(0, Number(length)),
  printf: (format, ...values) => printf(String(format), values),
  println: (...values) => `${values.map((value) => goString(value)).join(' ')}\n`,
  print: (...values) => values.map((value) => goString(value)).join(''),
  not: (value) => !truthy(value),
  and: (...values) => values.find((value) => !truthy(value)) ?? values.at(-1),
  or: (...values) => values.find((value) => truthy(value)) ?? values.at(-1),
  eq: (value, ...others) => others.some((other) => other === value),
  ne: (a, b) => a !== b,
  lt: (a, b) => (a as number) < (b as number),
  gt: (a, b) => (a as number) > (b as number),
};

function operand(word: string, scope: Scope): unknown {
  const group = /^\((.*)\)((?:\.\w+)*)$/s.exec(word);
  if (group) return fieldsOf(evaluate(group[1]!, scope), group[2]!, word);
  if (word.startsWith('"')) return JSON.parse(word) as string;
  if (word.startsWith('`')) return word.slice(1, -1);
  if (/^-?\d+(\.\d+)?$/.test(word)) return Number(word);
  if (word === 'true' || word === 'false') return word === 'true';
  if (word === 'nil') return null;
  const path = /^(\$\w*)?((?:\.\w+)*|\.)$/.exec(word);
  if (!path) throw templateError(`function "${word}" not defined`);
  const [, variable, fields = ''] = path;
  if (variable && !(variable in scope.variables)) throw templateError(`undefined variable "${variable}"`);
  return fieldsOf(variable ? scope.variables[variable] : scope.dot, fields, word);
}

function fieldsOf(start: unknown, fields: string, word: string): unknown {
  let value = start;
  for (const field of fields.split('.').filter(Boolean)) {
    if (value === null || typeof value !== 'object' || !(field in value))
      throw new Error(`template: :1: executing "" at <${word}>: no field ${JSON.stringify(field)} here`);
    value = (value as Record<string, unknown>)[field];
  }
  return value;
}

/** Splits at blanks or pipes, but not inside quotes and parentheses. */
function splitWords(text: string, separator: ' ' | '|'): string[] {
  const words: string[] = [''];
  let depth = 0;
  for (const [piece] of text.matchAll(/"(?:\\.|[^"\\])*"|`[^`]*`|[\s\S]/g)) {
    if (piece === '(') depth += 1;
    if (piece === ')') depth -= 1;
    const splits = depth === 0 && (separator === ' ' ? /^\s$/.test(piece) : piece === '|');
    if (splits) words.push('');
    else words[words.length - 1] += piece;
  }
  return words.filter((word) => word.trim() !== '');
}

function truthy(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (value !== null && typeof value === 'object') return Object.keys(value).length > 0;
  return Boolean(value);
}

/** A value as Go's `%v` prints it: `[a b]`, `map[a:b]`, `<no value>`. */
function goString(value: unknown, top = false): string {
  // What Go's JSON writes as null is most often a list without items.
  if (value === null || value === undefined) return top ? (value === null ? '[]' : '<no value>') : '<nil>';
  if (Array.isArray(value)) return `[${value.map((item) => goString(item)).join(' ')}]`;
  if (typeof value === 'object')
    return `map[${Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => `${key}:${goString(item)}`)
      .join(' ')}]`;
  return String(value);
}

/** The verbs that people use: `%s`, `%d`, `%v`, `%q`, `%%`, with a width. */
function printf(format: string, values: unknown[]): string {
  const left = [...values];
  return format.replace(/%(-?\d*)([sdvq%])/g, (_whole, width: string, verb: string) => {
    if (verb === '%') return '%';
    const value = left.shift();
    const text = verb === 'q' ? JSON.stringify(goString(value)) : goString(value);
    return width.startsWith('-') ? text.padEnd(Number(width.slice(1))) : text.padStart(Number(width));
  });
}

/** JSON as Go writes it: safe to put into HTML. */
export function goJson(value: unknown, indent?: number): string {
  return (JSON.stringify(value ?? null, null, indent) ?? 'null').replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
