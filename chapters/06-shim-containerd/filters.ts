import { GrpcError } from './grpc-errors.ts';

/** What a filter looks at: the value of a field by its path, or undefined where the thing has no such field. */
export type Fields = (path: readonly string[]) => string | undefined;

/**
 * Reads containerd's filters: a list of alternatives, each a list of conditions with commas between, all of which must hold.
 * A condition is a field that is there (`labels.app`), or a field and a value: `id==x`, `id!=x`, `topic~="^/tasks/"` (a regular expression).
 * Parts with other characters stand in quotes: `labels."com.example/a"==b`. No filter at all: everything matches.
 * Source: containerd, filters/filter.go.
 * @throws GrpcError InvalidArgument where a filter cannot be read
 */
export function parseFilters(filters: readonly string[]): (fields: Fields) => boolean {
  const alternatives = filters.map(parseFilter);
  if (alternatives.length === 0) return () => true;
  return (fields) => alternatives.some((conditions) => conditions.every((holds) => holds(fields)));
}

/** The fields of a plain object with labels: `id`, `runtime.name`, `labels."a.b"`. */
export function fieldsOf(object: object): Fields {
  return (path) => {
    let value: unknown = object;
    for (const [i, name] of path.entries()) {
      // A label's name may have dots, quoted or not: from `labels` on, the rest is one name.
      const isLabels = path[i - 1] === 'labels';
      const key = isLabels ? path.slice(i).join('.') : name;
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
      value = (value as Record<string, unknown>)[key];
      if (isLabels) break;
    }
    return value === undefined || value === null || value === '' ? undefined : String(value);
  };
}

type Condition = (fields: Fields) => boolean;

const QUOTED = String.raw`"(?:[^"\\]|\\.)*"`;
const PART = String.raw`(?:[A-Za-z0-9_-]+|${QUOTED})`;
const CONDITION = new RegExp(
  String.raw`\s*(${PART}(?:\.${PART})*)\s*(?:(==|!=|~=)\s*(${QUOTED}|/(?:[^/\\]|\\.)*/|\|[^|]*\||[^\s,"]+))?\s*(?:,|$)`,
  'y',
);

function parseFilter(filter: string): Condition[] {
  const conditions: Condition[] = [];
  CONDITION.lastIndex = 0;
  while (CONDITION.lastIndex < filter.length) {
    const at = CONDITION.lastIndex;
    const match = CONDITION.exec(filter);
    if (!match)
      throw new GrpcError(
        'InvalidArgument',
        `filter ${JSON.stringify(filter)}: not understood from ${JSON.stringify(filter.slice(at))} on: give field==value, field!=value, field~=regexp or field`,
      );
    conditions.push(condition(filter, match));
  }
  return conditions;
}

function condition(filter: string, [, field, operator, text]: RegExpExecArray): Condition {
  const path = field!.match(new RegExp(PART, 'g'))!.map(unquote);
  if (!operator) return (fields) => fields(path) !== undefined;
  // A regular expression may also stand between slashes or bars; elsewhere a slash is a slash.
  const bare = operator === '~=' ? text!.replace(/^([/|])(.*)\1$/s, '$2') : text!;
  const value = unquote(bare);
  if (operator === '==') return (fields) => fields(path) === value;
  if (operator === '!=') return (fields) => fields(path) !== value;
  let pattern: RegExp;
  try {
    pattern = new RegExp(value);
  } catch (error) {
    throw new GrpcError('InvalidArgument', `filter ${JSON.stringify(filter)}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return (fields) => pattern.test(fields(path) ?? '');
}

const unquote = (text: string): string =>
  text.startsWith('"') ? text.slice(1, -1).replace(/\\(.)/g, '$1') : text;
