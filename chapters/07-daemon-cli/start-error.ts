import { ApiError } from './api-error.ts';
import { explain } from './log.ts';

/** A failed start in Docker's terms. */
export interface StartError {
  /** What the client is told. */
  message: string;
  /** What a shell would say: 127 not found, 126 found and not executable, 128 anything else. */
  exitCode: number;
  /** HTTP */
  status: number;
}

/**
 * Finds out, from the runtime's own words, whose fault a failed start is. A command that cannot be run is the user's: HTTP 400, and the
 * status that a shell would give. The client looks for the same words to choose its exit status.
 * Source: moby, daemon/errors.go, translateContainerdStartErr.
 */
export function startError(error: unknown): StartError {
  if (error instanceof ApiError) return { message: error.message, exitCode: 128, status: error.status };
  const reason = explain(error).replace(/^tasks\.(create|start): (\w+: )?/, '');
  const has = (...words: string[]): boolean => words.some((word) => reason.includes(word));
  const [exitCode, status] = has(
    'executable file not found',
    'no such file or directory',
    'system cannot find the file specified',
  )
    ? [127, 400]
    : has('permission denied', 'not a directory', 'is a directory', 'exec format error')
      ? [126, 400]
      : [128, 500];
  const message = /^failed to (create|start) /.test(reason)
    ? reason
    : `failed to create task for container: ${reason}`;
  return { message, exitCode, status };
}
