import type { ApiClient } from './api-client.ts';
import {
  CommandError,
  messageOf,
  part,
  print,
  STATUS_NOT_EXECUTABLE,
  STATUS_NOT_FOUND,
  STATUS_REFUSED,
  type CliCommand,
} from './cli-command.ts';
import { CONTAINER_OPTIONS, type ContainerFlags } from './cli-container-options.ts';
import { createContainer, prepareContainer, refused } from './cli-create.ts';
import { proxySignals } from './cli-signals.ts';
import { carry, detachKeysOf, followSize } from './cli-streams.ts';
import { beginWait } from './cli-wait.ts';
import { windowSize } from './terminal.ts';

interface RunFlags extends ContainerFlags {
  detach?: boolean;
  detachKeys?: string;
  noSigProxy?: boolean;
}

export const run: CliCommand<RunFlags> = {
  name: 'run',
  aliases: ['container run'],
  usage: '[OPTIONS] IMAGE [COMMAND] [ARG...]',
  summary: 'Create and run a new container from an image',
  operands: [1, Infinity],
  passThrough: true,
  options: [
    ...CONTAINER_OPTIONS,
    { flags: '-d, --detach', help: 'Run container in background and print container ID' },
    { flags: '--detach-keys <string>', help: 'Override the key sequence for detaching a container' },
    { flags: '--sig-proxy', help: 'Proxy received signals to the process (default true)' },
    { flags: '--no-sig-proxy', help: 'The same as --sig-proxy=false' },
  ],
  async run(api, [image, ...command], flags) {
    const detach = flags.detach ?? false;
    if (detach && flags.attach)
      throw new CommandError('conflicting options: cannot specify both --attach and --detach');
    const detachKeys = checkedDetachKeys(flags.detachKeys, 'run');
    const size = windowSize(process.stdout);
    const body = prepareContainer('run', flags, image!, command, {
      environment: process.env,
      consoleSize: size && flags.tty ? [size.rows, size.cols] : [0, 0],
      detach,
    });
    if (!detach && body.AttachStdin && body.Tty) requireTerminal();

    const id = await createContainer(api, 'run', flags, body);
    if (detach) {
      try {
        await start(api, id);
      } finally {
        // Also when it could not be started: it is there, and can be looked at and removed.
        print(id);
      }
      return 0;
    }
    const proxy = flags.noSigProxy ? undefined : proxySignals(api, id);
    try {
      return await runAttached(api, id, body, { detachKeys, onStarted: () => proxy?.started() });
    } finally {
      proxy?.stop();
    }
  },
};

/**
 * Attach, wait, start, in this order: before the program runs its output has a reader, and its end a witness. Answers its exit status.
 */
async function runAttached(
  api: ApiClient,
  id: string,
  {
    Tty: tty,
    AttachStdin,
    AttachStdout,
    AttachStderr,
    HostConfig,
  }: Awaited<ReturnType<typeof prepareContainer>>,
  { detachKeys, onStarted }: { detachKeys: readonly number[]; onStarted: () => void },
): Promise<number> {
  const connection =
    AttachStdin || AttachStdout || AttachStderr
      ? await api.hijack(`/containers/${id}/attach`, {
          query: { stream: 1, stdin: AttachStdin, stdout: AttachStdout, stderr: AttachStderr },
        })
      : undefined;
  const carried =
    connection &&
    carry(connection, {
      tty,
      stdin: AttachStdin ? process.stdin : undefined,
      stdout: AttachStdout ? process.stdout : undefined,
      stderr: AttachStderr ? process.stderr : undefined,
      detachKeys,
    });
  carried?.catch(() => {});
  const status = await beginWait(api, id, HostConfig.AutoRemove ? 'removed' : 'next-exit');
  try {
    await start(api, id);
    onStarted();
  } catch (error) {
    connection?.destroy();
    await carried?.catch(() => {});
    if (HostConfig.AutoRemove) await status('quiet').catch(() => {});
    throw error;
  }
  const stopFollowing = tty ? followSize(api, `/containers/${id}`) : undefined;
  try {
    if ((await carried) === 'detached') return 0;
    if (!AttachStdout && !AttachStderr) return 0;
    return await status();
  } finally {
    stopFollowing?.();
  }
}

/** @throws CommandError whose status tells a program that is not there (127) or not executable (126) from any other refusal (125) */
async function start(api: ApiClient, id: string): Promise<void> {
  try {
    await api.json('POST', `/containers/${part(id)}/start`);
  } catch (error) {
    throw refused(error, 'run', startFailureStatus(messageOf(error)));
  }
}

//#region startFailureStatus
/** The exit status of `run` for a container that could not be started: the daemon's words are all that tells the cases apart. */
export function startFailureStatus(message: string): number {
  if (/executable file not found|no such file or directory|system cannot find the file/.test(message))
    return STATUS_NOT_FOUND;
  if (/permission denied|is a directory/.test(message)) return STATUS_NOT_EXECUTABLE;
  return STATUS_REFUSED;
}
//#endregion

/** @throws CommandError, before anything is made, when a terminal is asked for and keys cannot come from one */
export function requireTerminal(): void {
  if (!process.stdin.isTTY) throw new CommandError('the input device is not a TTY', 1);
}

export function checkedDetachKeys(given: string | undefined, verb: string): number[] {
  try {
    return detachKeysOf(given);
  } catch (error) {
    throw new CommandError(messageOf(error), STATUS_REFUSED, { helpOf: verb, cause: error });
  }
}
