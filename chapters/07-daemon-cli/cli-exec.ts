import type { ApiClient } from './api-client.ts';
import { inspectContainer } from './cli-attach.ts';
import { CommandError, messageOf, STATUS_REFUSED, type CliCommand } from './cli-command.ts';
import { checkedDetachKeys, requireTerminal } from './cli-run.ts';
import { carry, followSize } from './cli-streams.ts';
import { parseEnv, readKeyValueFile, resolveEnv } from './cli-values.ts';
import { windowSize } from './terminal.ts';

interface ExecFlags {
  detach?: boolean;
  detachKeys?: string;
  env?: string[];
  envFile?: string[];
  interactive?: boolean;
  privileged?: boolean;
  tty?: boolean;
  user?: string;
  workdir?: string;
}

export const exec: CliCommand<ExecFlags> = {
  name: 'exec',
  aliases: ['container exec'],
  usage: '[OPTIONS] CONTAINER COMMAND [ARG...]',
  summary: 'Execute a command in a running container',
  operands: [2, Infinity],
  passThrough: true,
  options: [
    { flags: '-d, --detach', help: 'Detached mode: run command in the background' },
    { flags: '--detach-keys <string>', help: 'Override the key sequence for detaching a container' },
    { flags: '-e, --env <list>', help: 'Set environment variables', parse: parseEnv, list: true },
    { flags: '--env-file <list>', help: 'Read in a file of environment variables', list: true },
    { flags: '-i, --interactive', help: 'Keep STDIN open even if not attached' },
    { flags: '--privileged', help: 'Give extended privileges to the command' },
    { flags: '-t, --tty', help: 'Allocate a pseudo-TTY' },
    { flags: '-u, --user <string>', help: 'Username or UID (format: "<name|uid>[:<group|gid>]")' },
    { flags: '-w, --workdir <string>', help: 'Working directory inside the container' },
  ],
  async run(api, [name, ...command], flags) {
    const detachKeys = checkedDetachKeys(flags.detachKeys, 'exec');
    const body = prepareExec(flags, command);
    if (body.AttachStdin && body.Tty) requireTerminal();
    // Asked first, so that what is wrong with the container is said in plain words.
    const { Id: container } = await inspectContainer(api, name!);
    const { Id } = await api.json<{ Id: string }>('POST', `/containers/${container}/exec`, { body });
    const startBody = { Detach: body.Detach, Tty: body.Tty, ConsoleSize: body.ConsoleSize };
    if (body.Detach) {
      await api.json('POST', `/exec/${Id}/start`, { body: startBody });
      return 0;
    }
    return await execAttached(api, Id, startBody, { stdin: body.AttachStdin, detachKeys });
  },
};

interface ExecBody {
  User: string;
  Privileged: boolean;
  Tty: boolean;
  /** rows and columns */
  ConsoleSize?: [number, number];
  AttachStdin: boolean;
  AttachStderr: boolean;
  AttachStdout: boolean;
  Detach: boolean;
  DetachKeys: string;
  Env: string[] | null;
  WorkingDir: string;
  Cmd: string[];
}

function prepareExec(flags: ExecFlags, command: readonly string[]): ExecBody {
  const attached = !flags.detach;
  const size = flags.tty ? windowSize(process.stdout) : undefined;
  let env: string[];
  try {
    env = resolveEnv(
      [...(flags.envFile?.flatMap(readKeyValueFile) ?? []), ...(flags.env ?? [])],
      process.env,
    );
  } catch (error) {
    throw new CommandError(messageOf(error), STATUS_REFUSED, { helpOf: 'exec', cause: error });
  }
  return {
    User: flags.user ?? '',
    Privileged: flags.privileged ?? false,
    Tty: flags.tty ?? false,
    ...(size && { ConsoleSize: [size.rows, size.cols] }),
    AttachStdin: attached && (flags.interactive ?? false),
    AttachStderr: attached,
    AttachStdout: attached,
    Detach: flags.detach ?? false,
    DetachKeys: flags.detachKeys ?? '',
    Env: env.length ? env : null,
    WorkingDir: flags.workdir ?? '',
    Cmd: [...command],
  };
}

async function execAttached(
  api: ApiClient,
  id: string,
  body: { Tty: boolean },
  { stdin, detachKeys }: { stdin: boolean; detachKeys: readonly number[] },
): Promise<number> {
  const connection = await api.hijack(`/exec/${id}/start`, { body });
  const stopFollowing = body.Tty ? followSize(api, `/exec/${id}`) : undefined;
  try {
    const end = await carry(connection, {
      tty: body.Tty,
      stdin: stdin ? process.stdin : undefined,
      stdout: process.stdout,
      stderr: process.stderr,
      detachKeys,
    });
    if (end === 'detached') throw new CommandError('read escape sequence');
  } finally {
    stopFollowing?.();
  }
  const { ExitCode } = await api.json<{ ExitCode: number | null }>('GET', `/exec/${id}/json`);
  return ExitCode ?? 0;
}
