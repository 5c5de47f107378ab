import { writeSync } from 'node:fs';
import { containerOf } from './container.ts';
import { listStates, ociState } from './state.ts';
import type { Run } from './verbs.ts';

/** `list`: every container below the root, as a table, as JSON, or only the ids. */
export const run: Run = ({ root }, { format = 'table', quiet }) => {
  if (format !== 'table' && format !== 'json')
    throw new Error(`invalid format option ${JSON.stringify(format)}: table and json are allowed`);
  const containers = listStates(root).map((state) => ({
    ...ociState(state, containerOf(root, state).status()),
    owner: state.owner,
  }));
  if (quiet) write(containers.map(({ id }) => `${id}\n`).join(''));
  else if (format === 'json') write(`${JSON.stringify(containers)}\n`);
  else {
    const head = ['ID', 'PID', 'STATUS', 'BUNDLE', 'CREATED', 'OWNER'];
    const rows = containers.map(({ id, pid, status, bundle, created, owner }) => [
      id,
      String(pid),
      status,
      bundle,
      created,
      owner,
    ]);
    write(table([head, ...rows]));
  }
};

/** Columns as wide as their widest word, and at least twelve, as runc's. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(12, ...rows.map((row) => row[column]!.length + 3)));
  return rows
    .map(
      (row) =>
        `${row.map((word, column) => (column === row.length - 1 ? word : word.padEnd(widths[column]!))).join('')}\n`,
    )
    .join('');
}

function write(text: string): void {
  if (text !== '') writeSync(1, text);
}
