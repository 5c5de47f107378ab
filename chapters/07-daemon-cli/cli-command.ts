import type { ApiClient } from './api-client.ts';

/** One flag of a command. */
export interface CliOption {
  /** As commander writes it: `-m, --memory <bytes>`; without `<…>` it is true or false. */
  flags: string;
  help: string;
  /** Makes a value of the text, or throws an Error that says what is wrong with it and what is allowed. */
  parse?: (text: string) => unknown;
  /** May be given many times; the values are collected in an array. */
  list?: true;
}

/**
 * One command of `mydocker`: what may be typed, as data, and what is then done. What is typed is checked before `run` is called;
 * `run` is the part that talks to the daemon.
 */
export interface CliCommand<O extends object = never> {
  name: string;
  /** Its longer names: `container ls`. */
  aliases?: readonly string[];
  /** What follows the name, as usage shows it: `[OPTIONS] CONTAINER [CONTAINER...]`. */
  usage: string;
  summary: string;
  /** The least and the most operands. */
  operands: readonly [number, number];
  /** What follows the first operand belongs to the container, also where it looks like flags. */
  passThrough?: true;
  options: readonly CliOption[];
  /** The exit status; 0 where nothing is returned. */
  run(api: ApiClient, operands: readonly string[], options: O): Promise<number | void>;
}

/** A command that fails: the line to print, and the exit status. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly status: number;
  /** The command whose `--help` is worth naming. */
  readonly helpOf: string | undefined;

  constructor(message: string, status = 1, { helpOf, cause }: { helpOf?: string; cause?: unknown } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.status = status;
    this.helpOf = helpOf;
  }
}

/** The exit status when the daemon refuses, or a flag is wrong: the container's program never had its say. */
export const STATUS_REFUSED = 125;
/** The exit status when the container's program is there and cannot be executed. */
export const STATUS_NOT_EXECUTABLE = 126;
/** The exit status when the container's program is not there. */
export const STATUS_NOT_FOUND = 127;

/**
 * Does the same for each name, all at once, and prints each that succeeded (in the order given) on standard output, each failure on standard
 * error. Answers the exit status: 1 if any failed.
 * @param act what to do; it may answer the line to print instead of the name, or null for none
 */
export async function eachName(
  names: readonly string[],
  act: (name: string) => Promise<string | void | null>,
): Promise<number> {
  const outcomes = await Promise.allSettled(names.map(async (name) => [name, await act(name)] as const));
  let status = 0;
  for (const outcome of outcomes) {
    if (outcome.status === 'fulfilled') {
      const [name, line] = outcome.value;
      if (line !== null) print(line ?? name);
    } else {
      warn(messageOf(outcome.reason));
      status = 1;
    }
  }
  return status;
}

/** A line on standard output. */
export const print = (line: string): void => void process.stdout.write(`${line}\n`);

/** A line on standard error. */
export const warn = (line: string): void => void process.stderr.write(`${line}\n`);

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** A name as a part of a path of the API. A slash in a container's name is kept: the daemon takes `/name` too. */
export const part = (name: string): string => encodeURIComponent(name);

/** The path of an image. The slashes of its name are slashes there too. */
export const imagePath = (name: string): string => `/images/${name.split('/').map(part).join('/')}`;
