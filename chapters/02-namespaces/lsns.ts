import { lstatSync } from 'node:fs';
import { getopt, UsageError, type OptionSpec } from './getopt.ts';
import { inodeOf, namespaceTable, processesIn, type NamespaceRow } from './namespace-table.ts';
import { namespaceIds, NAMESPACES } from './namespaces.ts';

// lsns(8) of our own: `npx tsx chapters/02-namespaces/lsns.ts [options] [NAMESPACE]`.

const USAGE = `usage: tsx lsns.ts [options] [NAMESPACE]
Lists namespaces, or with the number of one, the processes in it.
  -t, --type KIND      only ${Object.keys(NAMESPACES).join(', ')}
  -T, --tree[=KIN]     each below its owner, or with KIN parent below its parent
  -p, --task PID       only those that this process is in
  -o, --output LIST    columns: NS,TYPE,PATH,NPROCS,PID,PPID,COMMAND,UID,USER,NSFS,PNS,ONS
  -n, --noheadings     without the line of headings
  -r, --raw            one space between columns
  -J, --json           as JSON
  -h, --help           this text
`;

const OPTIONS: readonly OptionSpec[] = [
  { short: 't', long: 'type', value: 'required' },
  { short: 'p', long: 'task', value: 'required' },
  { short: 'T', long: 'tree', value: 'optional' },
  { short: 'o', long: 'output', value: 'required' },
  { short: 'n', long: 'noheadings' },
  { short: 'r', long: 'raw' },
  { short: 'J', long: 'json' },
  { short: 'h', long: 'help' },
  // What the original takes and this one does anyway: a list, nothing cut off, no lines wrapped.
  { short: 'l', long: 'list' },
  { short: 'u', long: 'notruncate' },
  { short: 'W', long: 'nowrap' },
];

type Column = keyof NamespaceRow;
type Row = Partial<Record<Column, string | number | undefined>>;

/** Columns by their names, and whether they are numbers: those stand at the right of their column. */
const COLUMNS: Readonly<Record<Column, 'number' | 'text'>> = {
  NS: 'number',
  TYPE: 'text',
  PATH: 'text',
  NPROCS: 'number',
  PID: 'number',
  PPID: 'number',
  COMMAND: 'text',
  UID: 'number',
  USER: 'text',
  NSFS: 'text',
  PNS: 'number',
  ONS: 'number',
};

function main(args: readonly string[]): string {
  const { options, rest } = getopt(args, OPTIONS);
  const given = (name: string): string | undefined =>
    options.findLast((option) => option.name === name)?.value;
  const has = (name: string): boolean => options.some((option) => option.name === name);
  if (has('help')) return USAGE;
  if (rest.length > 1) throw new UsageError(`one namespace at most: ${rest.join(' ')}`);
  const output = given('output');
  const columns = output === undefined ? undefined : parseColumns(output);
  const [rows, usual] = choose(given('type'), given('task'), rest[0]);
  const shown = columns ?? usual;
  if (has('tree')) {
    if (has('json') || has('raw')) throw new UsageError('a tree is drawn: neither as JSON nor raw');
    const drawn = drawTree(rows, kinColumn(given('tree') ?? 'owner'));
    return toText(drawn, shown, { heading: !has('noheadings') });
  }
  if (has('json')) return toJson(rows, shown);
  return toText(rows, shown, { heading: !has('noheadings'), raw: has('raw') });
}

/** The column that names whom a row is drawn below. */
function kinColumn(kin: string): 'ONS' | 'PNS' {
  if (kin === 'owner') return 'ONS';
  if (kin === 'parent') return 'PNS';
  throw new Error(`unknown kin: ${kin}: give owner or parent`);
}

/** The rows, each below the one that `kin` names, with the branches in its first column. Whose kin is not among them stands at the left. */
function drawTree(rows: readonly Row[], kin: 'ONS' | 'PNS'): Row[] {
  const below = (row: Row): Row[] => rows.filter((other) => other[kin] === row.NS && other !== row);
  const draw = (row: Row, lead: string, branch: string, under: string): Row[] => {
    const children = below(row);
    return [
      { ...row, NS: `${lead}${branch}${row.NS}` },
      ...children.flatMap((child, i) =>
        i < children.length - 1
          ? draw(child, lead + under, '├─', '│ ')
          : draw(child, lead + under, '└─', '  '),
      ),
    ];
  };
  return rows
    .filter((row) => !rows.some((other) => other.NS === row[kin] && other !== row))
    .flatMap((row) => draw(row, '', '', ''));
}

/** The rows that were asked for, and the columns that they have if none are named. */
function choose(type?: string, task?: string, namespace?: string): [Row[], Column[]] {
  if (type !== undefined && !Object.hasOwn(NAMESPACES, type))
    throw new Error(`unknown namespace type: ${type}`);
  if (namespace !== undefined) {
    if (!/^\d+$/.test(namespace)) throw new Error(`invalid namespace argument: '${namespace}'`);
    const processes = processesIn(Number(namespace));
    if (processes.length === 0 && !namespaceTable().some(({ NS }) => NS === Number(namespace)))
      throw new Error(`not found namespace: ${namespace}`);
    return [processes, ['PID', 'PPID', 'USER', 'COMMAND']];
  }
  const ids = task === undefined ? undefined : namespacesOfTask(task);
  const rows = namespaceTable().filter((row) => (!type || row.TYPE === type) && (!ids || ids.has(row.NS)));
  return [rows, ['NS', 'TYPE', 'NPROCS', 'PID', 'USER', 'COMMAND']];
}

function namespacesOfTask(task: string): Set<number> {
  if (!/^[1-9]\d*$/.test(task)) throw new Error(`invalid PID argument: '${task}'`);
  if (!lstatSync(`/proc/${task}`, { throwIfNoEntry: false })) throw new Error(`no such process: ${task}`);
  return new Set(Object.values(namespaceIds(Number(task))).map(inodeOf));
}

function parseColumns(list: string): Column[] {
  return list.split(',').map((name) => {
    const column = name.toUpperCase();
    if (!Object.hasOwn(COLUMNS, column)) throw new Error(`unknown column: ${name}`);
    return column as Column;
  });
}

function toText(rows: Row[], columns: Column[], { heading = true, raw = false }): string {
  const lines = rows.map((row) => columns.map((column) => String(row[column] ?? '')));
  if (heading) lines.unshift([...columns]);
  // A raw word holds no blank, so that `cut` can count them.
  if (raw)
    return lines.map((line) => `${line.map((word) => word.replaceAll(' ', '\\x20')).join(' ')}\n`).join('');
  const widths = columns.map((column, i) =>
    Math.max(heading ? column.length : 0, ...lines.map((line) => line[i]!.length)),
  );
  const isDrawn = rows.some(({ NS }) => typeof NS === 'string');
  const pad = (word: string, i: number): string => {
    if (COLUMNS[columns[i]!] === 'number' && !(columns[i] === 'NS' && isDrawn))
      return word.padStart(widths[i]!);
    return i === columns.length - 1 ? word : word.padEnd(widths[i]!);
  };
  return lines.map((line) => `${line.map(pad).join(' ')}\n`).join('');
}

function toJson(rows: Row[], columns: Column[]): string {
  const objects = rows.map((row) =>
    Object.fromEntries(columns.map((column) => [column.toLowerCase(), row[column] ?? null])),
  );
  return `${JSON.stringify({ namespaces: objects }, null, 3)}\n`;
}

try {
  process.stdout.write(main(process.argv.slice(2)));
} catch (error) {
  const help = error instanceof UsageError ? `\nTry 'lsns --help' for more information.` : '';
  process.stderr.write(`lsns: ${(error as Error).message}${help}\n`);
  process.exitCode = 1;
}
