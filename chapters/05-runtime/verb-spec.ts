import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../01-processes/index.ts';
import { defaultSpec, rootlessSpec } from './spec.ts';
import type { Run } from './verbs.ts';

/** `spec`: a config.json to begin with. One that is there is not overwritten. */
export const run: Run = (_context, { bundle = '.', rootless }) => {
  const spec = rootless ? rootlessSpec(process.getuid!(), process.getgid!()) : defaultSpec();
  try {
    writeFileSync(join(bundle, 'config.json'), `${JSON.stringify(spec, null, '\t')}\n`, {
      flag: 'wx',
      mode: 0o666,
    });
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
    throw new Error('file config.json exists: remove it first', { cause: undefined });
  }
};
