import { constants, openSync, realpathSync, rmSync, writeSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { setSubreaper } from '../01-processes/index.ts';
import { forwardEvents } from './event-forwarder.ts';
import { startReaper } from './reaper.ts';
import type { ShimArguments } from './shim-arguments.ts';
import { taskServiceType } from './task-api.ts';
import { taskService } from './task-service.ts';
import { serveTtrpc } from './ttrpc.ts';

/** The listening socket that `start` made. */
const LISTENER = 3;

/**
 * The shim itself: one for each container, from Create until Shutdown. Precondition: it was started by `start`, in the bundle, with the
 * listening socket as descriptor 3.
 */
export function serveShim({ namespace, id, address, bundle, socket }: ShimArguments): void {
  process.title = `containerd-shim-myrunc-v2 -namespace ${namespace} -id ${id} -address ${address}`;

  // 1. A log that containerd reads, and no working directory that would keep a mount busy.
  const log = openLog(join(bundle, 'log'));
  process.chdir('/');

  // 2. Nothing stops it but Shutdown: while it lives, someone answers for the container.
  process.on('uncaughtException', (error) => log(`unexpected: ${error.stack ?? error.message}`));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => log(`${signal} is ignored`));

  // 3. Whoever below loses its parent becomes a child of this process, first of all the container's first process when the
  //    runtime that made it exits.
  setSubreaper();
  const reaper = startReaper();

  // 4. What happens is told to containerd.
  const ttrpcAddress = process.env['TTRPC_ADDRESS'] ?? `${address}.ttrpc`;
  const events = forwardEvents(ttrpcAddress, namespace, log);

  // 5. And what containerd asks is answered.
  const server = createServer();
  const shutdown = async (): Promise<void> => {
    await events.flush(5000);
    rmSync(socket, { force: true });
    process.exit(0);
  };
  const functions = taskService({
    namespace,
    programDirectory: dirname(realpathSync(process.argv[1]!)),
    reaper,
    events,
    log,
    shutdown: () => void setTimeout(() => void shutdown(), 10),
  });
  serveTtrpc(server, [{ service: taskServiceType(), functions: { ...functions } }]);
  server.listen({ fd: LISTENER });
}

/** The bundle's `log`: a fifo that containerd copies into its own log. While nobody reads it, lines are dropped. */
function openLog(path: string): (text: string) => void {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  } catch {
    // containerd made none
  }
  return (text) => {
    if (fd === undefined) return;
    const line = `time="${new Date().toISOString()}" level=warning msg=${JSON.stringify(text)}\n`;
    try {
      writeSync(fd, line);
    } catch {
      // full: nobody reads
    }
  };
}
