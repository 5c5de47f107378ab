import { isAbsolute } from 'node:path';
import { CODE, TtrpcError } from './ttrpc.ts';

/** Where a stream comes from or goes to. */
export type StdioPlace = { kind: 'none' } | { kind: 'fifo' | 'journal' | 'file'; path: string };

/**
 * Reads what Create and Exec give as stdin, stdout and stderr: '' none; an absolute path or `fifo://PATH` a fifo that the client made;
 * `file://PATH` a file, appended to; `journal://PATH` a journal (journal.ts), this engine's addition.
 * @throws TtrpcError INVALID_ARGUMENT for any other
 */
export function parsePlace(text: string): StdioPlace {
  if (text === '') return { kind: 'none' };
  const [, scheme = 'fifo', path = text] = /^([a-z]+):\/\/(.*)$/.exec(text) ?? [];
  if (isAbsolute(path) && (scheme === 'fifo' || scheme === 'journal' || scheme === 'file'))
    return { kind: scheme, path };
  throw new TtrpcError(
    CODE.INVALID_ARGUMENT,
    `stdio ${JSON.stringify(text)}: give an absolute path of a fifo, or file:// or journal:// and an absolute path`,
  );
}
