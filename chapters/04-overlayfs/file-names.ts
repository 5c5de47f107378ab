import { isUtf8 } from 'node:buffer';
import { readdirSync } from 'node:fs';

/*
 * To the kernel a file's name is bytes: any but NUL and the slash. Most are UTF-8, and so it is tempting to hold names as text; but the
 * text of a name that is not has lost its bytes, and the file is not found again. Here a byte that is no UTF-8 becomes a character that
 * no UTF-8 stands for, half of a surrogate pair: 0xff is U+DCFF. Names stay strings that can be joined, compared and printed, and what
 * reaches the kernel or a tar are the bytes that came. Source: Python's PEP 383, which does the same.
 */

//#region names
/** A name as a string. No bytes are lost: `encodeName` gives them back. */
export function decodeName(bytes: Uint8Array): string {
  if (isUtf8(bytes)) return Buffer.from(bytes).toString();
  let name = '';
  for (let at = 0; at < bytes.length;) {
    const character = [1, 2, 3, 4]
      .map((length) => bytes.subarray(at, at + length))
      .find((some) => isUtf8(some));
    name += character ? Buffer.from(character).toString() : String.fromCharCode(0xdc00 | bytes[at]!);
    at += character?.length ?? 1;
  }
  return name;
}

/** The bytes of a name. What stands for a byte is one from 0x80 on: no slash or dot can come out that was not to be seen. */
export function encodeName(name: string): Buffer {
  if (!LONE_BYTE.test(name)) return Buffer.from(name);
  const parts = name.split(/([\udc80-\udcff])/u);
  return Buffer.concat(
    parts.map((part) => (LONE_BYTE.test(part) ? Buffer.of(part.charCodeAt(0) & 0xff) : Buffer.from(part))),
  );
}

const LONE_BYTE = /[\udc80-\udcff]/u;
//#endregion

/** A path as node:fs takes it. */
export const fsPath = (path: string): string | Buffer => (LONE_BYTE.test(path) ? encodeName(path) : path);

/** A path as the C library takes it: a Buffer needs its own NUL. */
export const cPath = (path: string): string | Buffer =>
  LONE_BYTE.test(path) ? Buffer.concat([encodeName(path), Buffer.of(0)]) : path;

/** The names in a directory, sorted. readdir(3). @throws ENOENT, ENOTDIR */
export function readNames(dir: string): string[] {
  const names = readdirSync(fsPath(dir));
  // Node puts U+FFFD where bytes were no UTF-8 (or where someone wrote just that).
  if (!names.some((name) => name.includes('\ufffd'))) return names.sort();
  return readdirSync(fsPath(dir), { encoding: 'buffer' }).map(decodeName).sort();
}
