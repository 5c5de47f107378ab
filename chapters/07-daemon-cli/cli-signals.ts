import type { ApiClient } from './api-client.ts';
import { part } from './cli-command.ts';

/** Signals that are passed on to the container. SIGTSTP is not among them: Ctrl-Z stops this client, as any program. */
const PROXIED = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGTERM', 'SIGALRM'] as const;

/** So many SIGINT and SIGTERM, and the client gives up on a container that does not end. */
const PATIENCE = 3;

export interface SignalProxy {
  /** The container runs: what came until now is sent. */
  started(): void;
  /** From here on signals are this process's own again. */
  stop(): void;
}

//#region proxySignals
/**
 * From here on a signal to this process is one to the container instead. The container is no child of this process, and not in
 * its process group: no signal of this terminal reaches it by itself. What comes before it has started is kept for then.
 */
export function proxySignals(api: ApiClient, container: string): SignalProxy {
  let early: NodeJS.Signals[] | undefined = [];
  let terminations = 0;
  const send = (signal: NodeJS.Signals): void => {
    const query = { signal: signal.replace(/^SIG/, '') };
    // A container that has ended meanwhile cannot be signalled; its status is on the way.
    api.json('POST', `/containers/${part(container)}/kill`, { query }).catch(() => {});
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    if (signal === 'SIGINT' || signal === 'SIGTERM') terminations += 1;
    if (terminations === PATIENCE) {
      process.stderr.write(`\ngot ${PATIENCE} SIGTERM/SIGINTs, forcefully exiting\n`);
      process.exit(1);
    }
    if (early) early.push(signal);
    else send(signal);
  };
  for (const signal of PROXIED) process.on(signal, onSignal);
  return {
    started() {
      early?.forEach(send);
      early = undefined;
    },
    stop() {
      for (const signal of PROXIED) process.off(signal, onSignal);
    },
  };
}
//#endregion
