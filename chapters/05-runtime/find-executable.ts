import { accessSync, constants, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { isErrno } from '../01-processes/index.ts';

/** Where execvp(3) looks when the environment says nothing. */
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * The file that a command names, looked up as a shell does: with a slash it is a path, else each directory of the PATH in `env` is tried.
 * Called in the container, as the user who is to run it.
 *
 * The wording of the errors is runc's, word for word: Docker reads it to tell 127 (not found) from 126 (not executable).
 * @throws Error
 */
export function findExecutable(name: string, env: readonly string[]): string {
  const quoted = `exec: ${JSON.stringify(name)}`;
  if (name.includes('/')) {
    const problem = whyNotExecutable(name);
    if (problem) throw new Error(`${quoted}: ${problem}`);
    return name;
  }
  const path = env.findLast((entry) => entry.startsWith('PATH='))?.slice('PATH='.length) ?? DEFAULT_PATH;
  for (const directory of path.split(':')) {
    const candidate = join(directory || '.', name);
    // Go's LookPath passes over what is not executable, and so "not found" is the answer for it too.
    if (name !== '' && isAbsolute(candidate) && whyNotExecutable(candidate) === undefined) return candidate;
  }
  throw new Error(`${quoted}: executable file not found in $PATH`);
}

function whyNotExecutable(path: string): string | undefined {
  try {
    const stat = statSync(path);
    if (stat.isDirectory() || (stat.mode & 0o111) === 0) return 'permission denied';
    accessSync(path, constants.X_OK);
    return undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return `stat ${path}: no such file or directory`;
    if (isErrno(error, 'EACCES')) return 'permission denied';
    if (isErrno(error, 'ELOOP')) return `stat ${path}: too many levels of symbolic links`;
    throw error;
  }
}
