import { CommandError, messageOf, print } from './cli-command.ts';
import { table } from './cli-format.ts';
import { goJson, parseTemplate } from './cli-template.ts';

/** One column that a list can show: its name in templates, its heading, and its text for one item. */
export interface Column<T> {
  field: string;
  heading: string;
  text: (item: T) => string;
}

/**
 * Prints a list as `--format` wants it: a table of the default columns (`table`, or nothing), a table of chosen fields
 * (`table {{.ID}}\t{{.Names}}`), a JSON object a line (`json`), or a template a line.
 * @param shown the fields of the default table, in order
 * @throws CommandError when the template is wrong, or names a field that the list has not
 */
export function printList<T>(
  items: readonly T[],
  columns: readonly Column<T>[],
  shown: readonly string[],
  format = 'table',
): void {
  const fieldsOf = (item: T): Record<string, string> =>
    Object.fromEntries(columns.map(({ field, text }) => [field, text(item)]));
  const headings = Object.fromEntries(columns.map(({ field, heading }) => [field, heading]));
  try {
    if (format === 'table') {
      const rows = items.map((item) =>
        shown.map((name) => columns.find(({ field }) => field === name)!.text(item)),
      );
      table([shown.map((name) => headings[name]!), ...rows]).forEach(print);
    } else if (format === 'json') for (const item of items) print(goJson(sorted(fieldsOf(item))));
    else if (/^table\s/.test(format)) {
      const template = parseTemplate(unescape(format.slice('table'.length).trim()));
      const rows = [headings, ...items.map(fieldsOf)].map((fields) => template(fields).split('\t'));
      table(rows).forEach(print);
    } else {
      const template = parseTemplate(unescape(format));
      for (const item of items) print(template(sorted(fieldsOf(item))));
    }
  } catch (error) {
    throw new CommandError(messageOf(error), 1, { cause: error });
  }
}

/** `\t` and `\n` as a shell's single quotes leave them. */
const unescape = (text: string): string => text.replaceAll('\\t', '\t').replaceAll('\\n', '\n');

const sorted = (fields: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)));

/** `name=value` filters as the API wants them: `{"status":{"exited":true}}`; undefined where none was given. */
export function filtersQuery(filters: readonly [string, string][] | undefined): string | undefined {
  if (!filters?.length) return undefined;
  const query: Record<string, Record<string, true>> = {};
  for (const [name, value] of filters) (query[name] ??= {})[value] = true;
  return JSON.stringify(query);
}

/** One `--filter`. */
export function parseFilter(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw new RangeError('bad format of filter (expected name=value)');
  return [text.slice(0, at).trim().toLowerCase(), text.slice(at + 1).trim()];
}
