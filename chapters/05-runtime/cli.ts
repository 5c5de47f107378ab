import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { isInUserNamespace } from './user-namespace.ts';
import type { Context } from './context.ts';
import { logFailure, type Log } from './log.ts';
import { describeOptions, parseOptions, UsageError, type OptionTable, type OptionValues } from './options.ts';
import { OCI_VERSION } from './spec.ts';
import { VERBS } from './verbs.ts';

export const VERSION = '0.1.0';

const GLOBAL = {
  root: {
    takes: 'text',
    value: 'DIR',
    help: 'where the state of containers is kept (default: /run/myrunc; without root $XDG_RUNTIME_DIR/myrunc)',
  },
  log: { takes: 'text', value: 'FILE', help: 'where errors are written to, beside standard error' },
  'log-format': { takes: 'text', value: 'FORMAT', help: 'text or json (default: text)' },
  debug: { takes: 'nothing', help: 'log more; with an error, where it came from' },
  'systemd-cgroup': {
    takes: 'nothing',
    help: 'have systemd make the cgroup: cgroupsPath is slice:prefix:name',
  },
  rootless: {
    takes: 'text',
    value: 'auto|true|false',
    help: 'do without a cgroup that may not be made (default: auto, whoever is not root)',
  },
  criu: { takes: 'text', value: 'PATH', help: 'taken for the sake of callers; there is no checkpoint' },
  help: { takes: 'nothing', short: 'h', help: 'this text' },
  version: { takes: 'nothing', short: 'v', help: 'the version' },
} as const satisfies OptionTable;

/**
 * Runs one command line. Returns the exit status: 0, 1 for an error of this runtime (255 for one of `exec`), or for `run` and `exec` that of
 * the container's program.
 */
export async function runCommandLine(argv: readonly string[]): Promise<number> {
  let log: Log = { format: 'text', debug: false };
  let verb = '';
  try {
    const { options, rest } = parseOptions(GLOBAL, argv, false);
    if (options.version) return print(`myrunc version ${VERSION}\ncommit: none\nspec: ${OCI_VERSION}\n`);
    if (options.help || rest.length === 0 || rest[0] === 'help') return print(help());
    log = logOf(options);
    verb = rest[0]!;
    return await runVerb(verb, rest.slice(1), {
      root: options.root ?? defaultRoot(),
      log,
      systemdCgroup: options['systemd-cgroup'] ?? false,
      ...rootlessOf(options.rootless),
    });
  } catch (error) {
    const failure = error instanceof Error ? error : new Error(String(error));
    const prefix = failure instanceof UsageError ? '' : (PREFIXES[verb] ?? '');
    logFailure(log, `${prefix}${describe(failure)}`);
    if (log.debug) writeSync(2, `${failure.stack}\n`);
    return verb === 'exec' ? 255 : 1;
  }
}

/** How runc begins its messages; Docker passes them on. */
const PREFIXES: Readonly<Record<string, string>> = {
  create: 'myrunc create failed: unable to start container process: ',
  run: 'myrunc run failed: unable to start container process: ',
  exec: 'exec failed: unable to start container process: ',
};

async function runVerb(name: string, argv: readonly string[], context: Context): Promise<number> {
  const verb = Object.hasOwn(VERBS, name) ? VERBS[name]! : undefined;
  if (!verb) throw new UsageError(`No help topic for '${name}': there are ${Object.keys(VERBS).join(', ')}`);
  const table = { ...verb.options, help: { takes: 'nothing', short: 'h', help: 'this text' } } as const;
  const wantsHelp = argv.some((word) => word === '-h' || word === '--help');
  const { options, rest } =
    verb.unparsed && !wantsHelp
      ? { options: {}, rest: [...argv] }
      : parseOptions(table as OptionTable, argv, verb.mixed ?? true);
  if ((options as { help?: boolean }).help)
    return print(
      `NAME:\n   myrunc ${name} - ${verb.help}\n\nUSAGE:\n   myrunc ${name} ${verb.usage}\n\nOPTIONS:\n${describeOptions(table)}`,
    );
  const [least, most] = verb.words;
  if (rest.length < least || rest.length > most)
    throw new UsageError(
      `myrunc: "${name}" requires ${least === most ? 'exactly' : 'at least'} ${least} argument(s): myrunc ${name} ${verb.usage}`,
    );
  const run = await verb.load();
  return (await run(context, options as OptionValues<OptionTable>, rest)) ?? 0;
}

/** Where the state is kept: the machine's place is root's; others have one of their own, which ends with their last session. */
function defaultRoot(): string {
  const own = process.env['XDG_RUNTIME_DIR'];
  // Podman without root calls its runtime as root of a user namespace, whose own place the machine's is not. As runc has it.
  const isPerson = process.geteuid!() !== 0 || (isInUserNamespace() && process.env['USER'] !== 'root');
  return own && isPerson ? join(own, 'myrunc') : '/run/myrunc';
}

function rootlessOf(text = 'auto'): { rootless?: boolean } {
  if (text === 'auto') return {};
  if (text === 'true' || text === 'false') return { rootless: text === 'true' };
  throw new UsageError(
    `invalid value ${JSON.stringify(text)} for flag -rootless: auto, true and false are allowed`,
  );
}

function logOf(options: OptionValues<typeof GLOBAL>): Log {
  const format = options['log-format'] ?? 'text';
  if (format !== 'text' && format !== 'json')
    throw new UsageError(
      `invalid value ${JSON.stringify(format)} for flag -log-format: text and json are allowed`,
    );
  return { format, debug: options.debug ?? false, ...(options.log !== undefined && { file: options.log }) };
}

function help(): string {
  const width = Math.max(...Object.keys(VERBS).map((name) => name.length));
  const verbs = Object.entries(VERBS).map(([name, verb]) => `   ${name.padEnd(width)}  ${verb.help}\n`);
  return `NAME:
   myrunc - Open Container Initiative runtime: makes containers out of bundles, as runc does

USAGE:
   myrunc [options] COMMAND [options] [arguments]

COMMANDS:
${verbs.join('')}
OPTIONS:
${describeOptions(GLOBAL)}`;
}

function print(text: string): number {
  writeSync(1, text);
  return 0;
}

/** An error and its causes, outermost first, in one line. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${describe(error.cause)}`;
}
