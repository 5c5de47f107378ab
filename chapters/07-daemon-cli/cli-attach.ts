import type { ApiClient } from './api-client.ts';
import { CommandError, part, type CliCommand } from './cli-command.ts';
import { checkedDetachKeys, requireTerminal } from './cli-run.ts';
import { proxySignals } from './cli-signals.ts';
import { carry, followSize } from './cli-streams.ts';
import { beginWait } from './cli-wait.ts';

interface AttachFlags {
  detachKeys?: string;
  noSigProxy?: boolean;
  noStdin?: boolean;
}

export const attach: CliCommand<AttachFlags> = {
  name: 'attach',
  aliases: ['container attach'],
  usage: '[OPTIONS] CONTAINER',
  summary: 'Attach local standard input, output, and error streams to a running container',
  operands: [1, 1],
  options: [
    { flags: '--detach-keys <string>', help: 'Override the key sequence for detaching a container' },
    { flags: '--no-stdin', help: 'Do not attach STDIN' },
    { flags: '--sig-proxy', help: 'Proxy all received signals to the process (default true)' },
    { flags: '--no-sig-proxy', help: 'The same as --sig-proxy=false' },
  ],
  async run(api, [name], { detachKeys, noSigProxy, noStdin }) {
    const keys = checkedDetachKeys(detachKeys, 'attach');
    const container = await inspectContainer(api, name!);
    const { State, Config } = container;
    if (!State.Running) throw new CommandError('You cannot attach to a stopped container, start it first');
    if (State.Paused) throw new CommandError('You cannot attach to a paused container, unpause it first');
    if (State.Restarting)
      throw new CommandError('You cannot attach to a restarting container, wait until it is running');
    const stdin = !noStdin && Config.OpenStdin;
    if (stdin && Config.Tty) requireTerminal();
    const status = await beginWait(api, container.Id, 'not-running');
    const proxy = noSigProxy ? undefined : proxySignals(api, container.Id);
    proxy?.started();
    try {
      if ((await attachTo(api, container, { stdin, detachKeys: keys })) === 'detached') {
        throw new CommandError('read escape sequence');
      }
      return await status();
    } finally {
      proxy?.stop();
    }
  },
};

/** What this client reads of a container. */
export interface ContainerDetails {
  Id: string;
  Name: string;
  State: { Running: boolean; Paused: boolean; Restarting: boolean; ExitCode: number };
  Config: { Tty: boolean; OpenStdin: boolean; AttachStdin: boolean };
  HostConfig: { AutoRemove: boolean };
}

export const inspectContainer = (api: ApiClient, name: string): Promise<ContainerDetails> =>
  api.json('GET', `/containers/${part(name)}/json`);

/**
 * Joins a container's streams to this process's until the output ends, or the detach keys are typed.
 * @param onAttached done once attached, where the container is only then to be started
 */
export async function attachTo(
  api: ApiClient,
  { Id, Config }: ContainerDetails,
  {
    stdin,
    detachKeys,
    onAttached,
  }: { stdin: boolean; detachKeys: readonly number[]; onAttached?: () => Promise<void> },
): Promise<'ended' | 'detached'> {
  const connection = await api.hijack(`/containers/${Id}/attach`, {
    query: { stream: 1, stdin, stdout: 1, stderr: 1 },
  });
  const carried = carry(connection, {
    tty: Config.Tty,
    stdin: stdin ? process.stdin : undefined,
    stdout: process.stdout,
    stderr: process.stderr,
    detachKeys,
  });
  carried.catch(() => {});
  let stopFollowing: (() => void) | undefined;
  try {
    await onAttached?.();
    if (Config.Tty) stopFollowing = followSize(api, `/containers/${Id}`, onAttached === undefined);
    return await carried;
  } catch (error) {
    connection.destroy();
    await carried.catch(() => {});
    throw error;
  } finally {
    stopFollowing?.();
  }
}
