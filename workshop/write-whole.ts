import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';

/** Writes a file so that there is the old text or the new, never half, also after a power cut. */
export function writeWhole(path: string, text: string): void {
  const fd = openSync(`${path}.new`, 'w');
  try {
    writeFileSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(`${path}.new`, path);
}
