import { existsSync, mkdirSync, chmodSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { lockDirectory } from '../04-overlayfs/index.ts';
import { createEventBus } from './event-bus.ts';
import { garbageCollector } from './garbage.ts';
import { serveGrpc } from './grpc-server.ts';
import { leasesOf } from './leases.ts';
import type { Logger } from './logger.ts';
import { openNamespaces } from './namespaces.ts';
import { containersService } from './service-containers.ts';
import { contentService } from './service-content.ts';
import { diffService } from './service-diff.ts';
import { eventsService, serveForward } from './service-events.ts';
import { imagesService } from './service-images.ts';
import { introspectionService, serverId, versionService } from './service-introspection.ts';
import { leasesService } from './service-leases.ts';
import { namespacesService } from './service-namespaces.ts';
import { snapshotsService } from './service-snapshots.ts';
import { tasksService } from './service-tasks.ts';
import { createSupervisor } from './supervisor.ts';

export interface ContainerdOptions {
  /** What must survive a restart of the machine. */
  root: string;
  /** What must not: bundles, sockets. */
  state: string;
  /** The gRPC socket; shims publish events at `.ttrpc` after it. */
  address: string;
  /** The folder of this program, where shims are looked for. */
  programDirectory: string;
  /** This program, for shims that publish by calling it. */
  program: string;
  debug: boolean;
  log: Logger;
}

/**
 * Serves containerd's API. Returns the function that ends it; containers and their shims live on.
 * @throws StoreError UNAVAILABLE when another server has the root; Error when someone answers at the address
 */
export async function startContainerd(options: ContainerdOptions): Promise<() => Promise<void>> {
  const { root, state, address, programDirectory, program, debug, log } = options;

  // 1. The root is ours alone. The kernel holds the lock for us, and lets go of it however we end.
  for (const path of [root, state]) mkdirSync(path, { recursive: true, mode: 0o711 });
  const unlock = await lockDirectory(root);
  try {
    // 2. So are the sockets: one that nobody answers at was left by a server that was killed.
    const ttrpcAddress = `${address}.ttrpc`;
    for (const path of [address, ttrpcAddress]) await freeSocket(path);

    // 3. What there is: content, images, snapshots, records, by namespace.
    const namespaces = await openNamespaces(join(root, 'namespaces'));

    // 4. What happens, what runs, and what is no longer needed.
    const events = createEventBus();
    const garbage = garbageCollector(namespaces, events, log);
    const leases = leasesOf(namespaces, garbage);
    const caller = { address, publishBinary: program, beside: programDirectory, debug };
    const supervisor = createSupervisor({ root, state }, caller, events, log);

    // 5. Shims of a server before us are found again, before anyone can ask for them …
    await supervisor.recover();

    // 6. … and may tell us what happened meanwhile.
    const ttrpc = createServer();
    serveForward(ttrpc, supervisor.receive);
    await listen(ttrpc, ttrpcAddress);

    // 7. Now we answer.
    const endGrpc = await serveGrpc(address, {
      namespaces: namespacesService(namespaces, events),
      containers: containersService(namespaces, events, supervisor.has),
      tasks: tasksService(namespaces, supervisor),
      images: imagesService(namespaces, events, garbage.collect),
      content: contentService(namespaces, leases, events),
      snapshots: snapshotsService(namespaces, leases, events),
      leases: leasesService(namespaces, garbage.collect),
      events: eventsService(events),
      diff: diffService(namespaces, leases),
      introspection: introspectionService(await serverId(root), root),
      version: versionService(),
    });
    log('info', `serving on ${address}`);

    return async () => {
      endGrpc();
      supervisor.leave();
      ttrpc.close();
      await namespaces.close();
      for (const path of [address, ttrpcAddress]) rmSync(path, { force: true });
      await unlock();
    };
  } catch (error) {
    await unlock();
    throw error;
  }
}

async function listen(server: Server, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve));
  chmodSync(path, 0o660);
}

/** Makes way for a socket. @throws Error when someone answers there */
async function freeSocket(path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
  if (!existsSync(path)) return;
  const answered = await new Promise<boolean>((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => (socket.destroy(), resolve(true)));
    socket.once('error', () => resolve(false));
  });
  if (answered) throw new Error(`${path}: another server answers there`);
  rmSync(path, { force: true });
}
