import { Command, CommanderError, Option } from 'commander';
import { apiClient, DEFAULT_HOST } from './api-client.ts';
import { rewriteArguments } from './cli-arguments.ts';
import {
  CommandError,
  messageOf,
  print,
  STATUS_REFUSED,
  warn,
  type CliCommand,
  type CliOption,
} from './cli-command.ts';
import { COMMANDS } from './cli-commands.ts';
import { CLIENT_VERSION } from './cli-version.ts';

const GLOBAL_OPTIONS: readonly CliOption[] = [
  { flags: '-D, --debug', help: 'Print where an error happened' },
  {
    flags: '-H, --host <string>',
    help: `Daemon socket to connect to (default: $MYDOCKER_HOST, else ${DEFAULT_HOST})`,
  },
  { flags: '-v, --version', help: 'Print version information and quit' },
];

interface GlobalFlags {
  debug?: boolean;
  host?: string;
  version?: boolean;
}

/**
 * Runs one command line. Answers its exit status; whatever goes wrong is printed once, here, on standard error: one line, and where
 * it helps the command whose help to read. With `--debug` also where it happened.
 * @param argv without the program's name
 */
export async function runCommandLine(
  argv: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  const outcome: { status: number; debug: boolean } = { status: 0, debug: false };
  try {
    const program = declareProgram(environment, outcome);
    await program.parseAsync(rewriteArguments(argv, GLOBAL_OPTIONS, COMMANDS), { from: 'user' });
    return outcome.status;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const { message, status, helpOf } = describe(error);
    warn(
      helpOf === undefined
        ? message
        : `mydocker: ${message}\n\nRun '${`mydocker ${helpOf}`.trim()} --help' for more information`,
    );
    if (outcome.debug)
      for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) warn(String(cause.stack));
    return status;
  }
}

function declareProgram(
  environment: NodeJS.ProcessEnv,
  outcome: { status: number; debug: boolean },
): Command {
  const program = settle(new Command('mydocker'))
    .description('A container through every layer: the command line')
    .usage('[OPTIONS] COMMAND')
    .enablePositionalOptions()
    .addHelpText('after', "\nRun 'mydocker COMMAND --help' for more information on a command.")
    .argument('[command]')
    .argument('[operands...]')
    .action(() => {
      const [name] = program.args;
      if (program.opts<GlobalFlags>().version) return print(`mydocker version ${CLIENT_VERSION}`);
      if (name !== undefined) throw new CommandError(`unknown command: mydocker ${name}`, 1, { helpOf: '' });
      program.outputHelp();
    });
  program.on('option:debug', () => (outcome.debug = true));
  for (const option of GLOBAL_OPTIONS) program.addOption(declareOption(option, ''));
  for (const command of COMMANDS) {
    const declared = declareCommand(command);
    program.addCommand(declared);
    declared.action(async () => {
      const operands = declared.args;
      checkOperands(command, operands);
      const api = apiClient(
        program.opts<GlobalFlags>().host ?? (environment['MYDOCKER_HOST'] || DEFAULT_HOST),
      );
      try {
        outcome.status = (await command.run(api, operands, declared.opts() as never)) ?? 0;
      } finally {
        api.close();
      }
    });
  }
  return program;
}

/** A command of the table as commander has it. */
function declareCommand(command: CliCommand): Command {
  const declared = settle(new Command(command.name))
    .summary(command.summary)
    .description(command.summary)
    .usage(command.usage)
    .argument('[operands...]')
    .passThroughOptions(command.passThrough ?? false);
  for (const option of command.options) declared.addOption(declareOption(option, command.name));
  return declared;
}

/** Errors are thrown and not printed; `-h` is a host name and no cry for help. */
function settle(command: Command): Command {
  return command
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .helpOption('--help', 'Print usage')
    .helpCommand(false)
    .configureHelp({ subcommandTerm: (subcommand) => subcommand.name() });
}

function declareOption({ flags, help, parse, list }: CliOption, command: string): Option {
  const option = new Option(flags, help);
  // Otherwise `--no-trunc` were commander's way to say that `trunc` is false.
  option.negate = false;
  if (!option.required) return option;
  return option.argParser((text: string, before: unknown) => {
    let value: unknown = text;
    try {
      if (parse) value = parse(text);
    } catch (error) {
      const flag = flags.replace(/ <.*/, '');
      throw new CommandError(
        `invalid argument ${JSON.stringify(text)} for "${flag}" flag: ${messageOf(error)}`,
        STATUS_REFUSED,
        { helpOf: command, cause: error },
      );
    }
    return list ? [...((before as unknown[] | undefined) ?? []), value] : value;
  });
}

/** @throws CommandError (status 1, as Docker's) when there are too few or too many operands */
function checkOperands({ name, operands: [min, max] }: CliCommand, { length }: readonly string[]): void {
  if (length >= min && length <= max) return;
  const count = (n: number): string => `${n} argument${n === 1 ? '' : 's'}`;
  const needed =
    max === 0
      ? 'accepts no arguments'
      : min === max
        ? `requires ${count(min)}`
        : max === Infinity
          ? `requires at least ${count(min)}`
          : min === 0
            ? `requires at most ${count(max)}`
            : `requires at least ${min} and at most ${count(max)}`;
  throw new CommandError(`'mydocker ${name}' ${needed}`, 1, { helpOf: name });
}

function describe(error: unknown): { message: string; status: number; helpOf: string | undefined } {
  if (error instanceof CommandError) return error;
  if (error instanceof CommanderError) return describeCommander(error);
  return { message: messageOf(error), status: 1, helpOf: undefined };
}

/** What the rewriting of arguments did not catch. */
function describeCommander(error: CommanderError): { message: string; status: number; helpOf: string } {
  return { message: error.message.replace(/^error: /, ''), status: STATUS_REFUSED, helpOf: '' };
}
