import { constants } from 'node:os';
import { InvalidArgumentError, type Command } from 'commander';
import { interruptSignal } from '../chapters/01-processes/index.ts';
import { Refused } from './learner.ts';

// What the commands have in common.

/** @throws Refused saying what to type instead */
export function requireRoot(command: string): void {
  if (process.getuid?.() !== 0)
    throw new Refused(`checks judge the kernel, as root. Type: sudo npm run ${command}`);
}

/** The program was interrupted: what it had made is gone, and it ends with the status that goes with the signal. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly status: number;

  constructor(signal: NodeJS.Signals | 'SIGPIPE', then = 'nothing of yours was changed') {
    super(`interrupted: ${then}`);
    this.status = 128 + constants.signals[signal];
  }
}

/**
 * Runs what may be interrupted by Ctrl-C, kill, or a closed terminal. It gets the signal, ends what it has begun, and takes away what it
 * has made, before this throws.
 * @throws Interrupted when the signal came, whatever `run` made of it
 */
export async function interruptible<T>(run: (signal: AbortSignal) => Promise<T>, then?: string): Promise<T> {
  const signal = interruptSignal();
  const outcome = await run(signal).then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if (signal.aborted) throw new Interrupted(signal.reason as NodeJS.Signals, then);
  if ('error' in outcome) throw outcome.error;
  return outcome.value;
}

/** A whole number, 0 or more. */
export function natural(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError('give a whole number.');
  return Number(text);
}

/** A whole number, 1 or more. */
export function positive(text: string): number {
  if (natural(text) < 1) throw new InvalidArgumentError('give a number of 1 or more.');
  return Number(text);
}

/** npm keeps options for itself that stand before `--`: then the command would do less than it was asked for. @throws Refused */
export function takenByNpm(command: Command): void {
  const taken = command.options
    .map(({ long }) => long!)
    .filter((long) => {
      const variable = `npm_config_${long.slice(2).replace(/^no-/, '').replaceAll('-', '_')}`;
      return process.env[variable] !== undefined && !process.argv.some((word) => word.startsWith(long));
    });
  if (taken.length > 0)
    throw new Refused(
      `npm took ${taken.join(' ')} for itself. Put -- before it: npm run ${[command.name(), '--', ...process.argv.slice(3), ...taken].join(' ')}`,
    );
}
