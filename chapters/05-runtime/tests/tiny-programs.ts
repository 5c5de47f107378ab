import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { STACK, tinyProgram } from '../machine-code.ts';

/** How a tiny program ended. */
export interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}

/**
 * A program for a kind of machine that writes `first`, reads a byte of its standard input, and goes on as every tiny program does. The function starts it with
 * these arguments, the first of which the program takes for itself; without `input` its standard input cannot be read.
 * @param by an emulator, where this machine is of another kind
 */
export function beforeExec(
  dir: string,
  arch: string,
  by?: string,
): (argv: [string, ...string[]], input: string | undefined) => Ended {
  const path = join(dir, `tiny-${arch}`);
  const program = tinyProgram(
    arch,
    (place) => [
      { name: 'write', args: [1, place(Buffer.from('first\n')), 6], complaint: 'nothing written\n' },
      { name: 'read', args: [0, STACK, 1], complaint: 'nothing to read\n' },
    ],
    'no program\n',
  );
  writeFileSync(path, program!, { mode: 0o755 });
  const script = by ? 'exec "$1" -0 "$2" "$0" "${@:3}"' : 'exec -a "$2" "$0" "${@:3}"';
  return (argv, input) => {
    const close = input === undefined ? ' 0>/dev/null' : '';
    const { status, stdout, stderr } = spawnSync('bash', ['-c', script + close, path, by ?? '', ...argv], {
      encoding: 'utf8',
      timeout: 30_000,
      ...(input !== undefined && { input }),
    });
    return { status, stdout, stderr };
  };
}
