import { attachTo, inspectContainer } from './cli-attach.ts';
import { CommandError, messageOf, part, print, warn, type CliCommand } from './cli-command.ts';
import { checkedDetachKeys, requireTerminal } from './cli-run.ts';
import { proxySignals } from './cli-signals.ts';
import { beginWait } from './cli-wait.ts';

interface StartFlags {
  attach?: boolean;
  detachKeys?: string;
  interactive?: boolean;
}

export const start: CliCommand<StartFlags> = {
  name: 'start',
  aliases: ['container start'],
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  summary: 'Start one or more stopped containers',
  operands: [1, Infinity],
  options: [
    { flags: '-a, --attach', help: 'Attach STDOUT/STDERR and forward signals' },
    { flags: '--detach-keys <string>', help: 'Override the key sequence for detaching a container' },
    { flags: '-i, --interactive', help: "Attach container's STDIN" },
  ],
  async run(api, names, { attach, interactive, detachKeys }) {
    if (!attach && !interactive) return await startAll(api, names);
    if (names.length > 1) throw new CommandError('you cannot start and attach multiple containers at once');
    const keys = checkedDetachKeys(detachKeys, 'start');
    const container = await inspectContainer(api, names[0]!);
    const stdin = (interactive ?? false) && container.Config.OpenStdin;
    if (stdin && container.Config.Tty) requireTerminal();
    const status = await beginWait(
      api,
      container.Id,
      container.HostConfig.AutoRemove ? 'removed' : 'next-exit',
    );
    const proxy = container.Config.Tty ? undefined : proxySignals(api, container.Id);
    try {
      const end = await attachTo(api, container, {
        stdin,
        detachKeys: keys,
        onAttached: async () => {
          await api.json('POST', `/containers/${container.Id}/start`);
          proxy?.started();
        },
      });
      return end === 'detached' ? 0 : await status();
    } finally {
      proxy?.stop();
    }
  },
};

async function startAll(api: Parameters<typeof start.run>[0], names: readonly string[]): Promise<number> {
  const failed: string[] = [];
  for (const name of names) {
    try {
      await api.json('POST', `/containers/${part(name)}/start`);
      print(name);
    } catch (error) {
      warn(messageOf(error));
      failed.push(name);
    }
  }
  if (failed.length) throw new CommandError(`Error: failed to start containers: ${failed.join(', ')}`);
  return 0;
}
