import { containerOf, destroy } from './container.ts';
import type { Context } from './context.ts';
import { createContainer, type CreateOptions } from './create.ts';
import { foregroundTerminal, waitInForeground, type ForegroundTerminal } from './foreground.ts';
import { awaitReady, openNotifySocket, watchReady, type NotifySocket } from './notify.ts';
import { letGo, poststart } from './start.ts';

export interface RunOptions extends CreateOptions {
  /** End once the program runs. */
  detach: boolean;
  /** Leave the container's state behind when it has ended. */
  keep: boolean;
}

/**
 * `create` and `start` in one; and in the foreground also the wait, and `delete`. Returns the program's exit status, 0 when detached.
 * @throws Error; then nothing of the container is left
 */
export async function runContainer(context: Context, options: RunOptions): Promise<number> {
  const { detach } = options;
  const wantsTerminal =
    !detach && options.consoleSocket === undefined && options.bundle.spec.process!.terminal;
  const terminal: ForegroundTerminal | undefined = wantsTerminal ? foregroundTerminal() : undefined;
  try {
    const state = createContainer(
      context,
      terminal ? { ...options, consoleSocket: terminal.socket } : options,
    );
    const container = containerOf(context.root, state);
    let ready: NotifySocket | undefined;
    try {
      ready = openNotifySocket(context.root, state.id);
      const connection = await terminal?.connect();
      letGo(context, container);
      poststart(context, container);
      if (ready && detach) awaitReady(ready, state);
      if (detach) return 0;
      const endWatch = ready && watchReady(ready);
      const status = await waitInForeground(state.pid, connection);
      endWatch?.();
      if (!options.keep) destroy(context, container);
      return status;
    } catch (error) {
      destroy(context, container);
      throw error;
    } finally {
      ready?.close();
    }
  } finally {
    terminal?.close();
  }
}
