import { createWriteStream, renameSync, rmSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** Writes an answer to standard output, or to a file: whole or not at all, what was there stays until the last byte is written. */
export async function writeOutput(answer: Readable, output: string | undefined): Promise<void> {
  if (output === undefined) {
    await pipeline(answer, process.stdout, { end: false });
    return;
  }
  const temporary = `${output}.${process.pid}.partial`;
  try {
    await pipeline(answer, createWriteStream(temporary, { flags: 'wx' }));
    renameSync(temporary, output);
  } finally {
    rmSync(temporary, { force: true });
  }
}
