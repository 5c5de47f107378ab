import { constants } from 'node:os';
import type { Writable } from 'node:stream';

/**
 * Whoever read the output has gone (`mydocker logs web | head -1`): nothing is left to do, and nothing to complain of. The status is that of a
 * program which SIGPIPE ended, as other programs are; Node ignores that signal and reports an error instead. Any other trouble with the
 * output (a full disk) is said.
 */
export function endQuietlyOnClosedPipe(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(128 + constants.signals.SIGPIPE);
      if (stream === process.stdout)
        process.stderr.write(`mydocker: cannot write the output: ${error.message}\n`);
      process.exit(1);
    });
}

/** Ends this process once everything said has been taken: exiting at once would lose the tail of a large output. */
export async function finish(status: number): Promise<never> {
  await Promise.all([drained(process.stdout), drained(process.stderr)]);
  // Not by letting the event loop run dry: standard input may still be open.
  process.exit(status);
}

function drained(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    if (stream.writableLength === 0) resolve();
    else stream.write('', () => resolve());
  });
}
