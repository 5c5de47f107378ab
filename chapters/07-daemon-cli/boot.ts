import { randomUUID } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { inBounding, CAPABILITIES, type Capability } from '../01-processes/index.ts';
import { detectCgroups } from '../03-cgroups/index.ts';
import { isStoreError, lockDirectory, openDownloads, readState, writeState } from '../04-overlayfs/index.ts';
import { adopt, followContainerd, lookAfter, startByPolicy } from './adopt.ts';
import { apiServer } from './api-server.ts';
import { openBridgeNetwork } from './bridge-network.ts';
import { removeEmptyParent } from './cgroup-parent.ts';
import { openContainerStore } from './container-store.ts';
import { isRunning } from './container.ts';
import type { DaemonOptions } from './daemon-options.ts';
import type { Daemon } from './daemon.ts';
import { eventBus } from './event-bus.ts';
import { openExecStore } from './exec-store.ts';
import { openImages } from './images.ts';
import { explain, log, setLogLevel } from './log.ts';
import { openRuns } from './runs.ts';
import { connectSupervisor } from './supervisor.ts';
import { checkStorageDriver, chooseStorageDriver, type StorageDriver } from './storage-driver.ts';
import { openVolumeStore } from './volume-store.ts';

export interface RunningDaemon {
  /** Ends the daemon, and nothing else: containers that run go on. Where none does, what it made of the host goes too. */
  stop(): Promise<void>;
}

/**
 * Brings the daemon up, from the disk to the socket. When a step fails, those before it are taken back.
 * @throws Error that says in one line what is in the way
 */
export async function boot(options: DaemonOptions): Promise<RunningDaemon> {
  setLogLevel(options.debug ? 'debug' : 'info');
  const down: (() => unknown)[] = [];
  try {
    // The folders are this daemon's alone, also after one that was killed: the kernel drops its lock.
    makeRoot('--data-root', options.dataRoot);
    makeRoot('--exec-root', options.execRoot);
    mkdirSync(join(options.execRoot, 'containers'), { recursive: true, mode: 0o711 });
    down.push(await lock(options.dataRoot));
    const before = await readEngine(options.dataRoot);
    const storageDriver = chooseStorageDriver(
      options.dataRoot,
      options.storageDriver,
      before && (before.storageDriver ?? 'overlay2'),
    );

    // What is on disk: containers and volumes.
    const containers = await openContainerStore(join(options.dataRoot, 'containers'));
    const volumes = await openVolumeStore(join(options.dataRoot, 'volumes'), (name) =>
      containers
        .all()
        .flatMap((record) => (record.mounts.some((mount) => mount.name === name) ? record.id : [])),
    );

    // The supervisor: one that runs, or one of our own.
    const supervisor = await connectSupervisor(options, storageDriver);
    const idle = (): boolean => !containers.all().some(isRunning);
    down.push(() => (idle() ? supervisor.stop() : supervisor.client.close()));
    await checkStorageDriver(supervisor.client, storageDriver);
    const { id } = before ?? (await newEngine(options.dataRoot, storageDriver));

    // The bridge, the host's address on it, and the rules that let its network out.
    const network = await openBridgeNetwork({
      dir: join(options.dataRoot, 'network'),
      bridge: options.bridge,
      bip: options.bip,
      firewall: options.iptables,
      taken: containers.all().flatMap(({ endpoint }) => endpoint ?? []),
    });
    down.push(() => {
      if (!idle()) return;
      network.remove();
      removeEmptyParent({ containers });
    });

    const daemon: Daemon = {
      options,
      id,
      containerd: supervisor.client,
      storageDriver,
      containers,
      runs: openRuns(),
      execs: openExecStore(),
      images: openImages(supervisor.client),
      downloads: openDownloads(),
      volumes,
      network,
      events: eventBus(),
      look: (record) =>
        void lookAfter(daemon, record).catch((error: unknown) =>
          log('warn', `looking after ${record.id}`, error),
        ),
      machine: {
        cgroupVersion: detectCgroups().layout === 'v2' ? 2 : 1,
        capabilities: (Object.keys(CAPABILITIES) as Capability[]).filter(inBounding),
      },
    };

    // The containers of the daemon before this one: found again by their tasks, and from now on followed by events.
    await adopt(daemon);
    const following = new AbortController();
    void followContainerd(daemon, supervisor.ensure, following.signal);
    down.push(() => following.abort());

    // The Engine API, for everybody who may open the socket.
    const server = apiServer(daemon);
    await listen(server, options.socket);
    down.push(() => close(server, options.socket));
    writeFileSync(options.pidfile, `${process.pid}\n`);
    down.push(() => rmSync(options.pidfile, { force: true }));

    startByPolicy(daemon);
    log('info', `API listen on ${options.socket}`);
  } catch (error) {
    await takeDown(down);
    throw error;
  }
  return { stop: () => takeDown(down) };
}

async function takeDown(down: (() => unknown)[]): Promise<void> {
  for (const step of down.splice(0).reverse())
    try {
      await step();
    } catch (error) {
      log('warn', 'going down', error);
    }
}

/**
 * Makes a folder and those above it that are missing, one by one: Node's own `recursive` says ENOENT of a read-only file system.
 * @throws Error that names the flag, the folder and the kernel's reason
 */
function makeRoot(flag: string, path: string): void {
  const missing: string[] = [];
  for (let folder = path; !existsSync(folder); folder = dirname(folder)) missing.unshift(folder);
  try {
    for (const folder of missing) mkdirSync(folder, { mode: 0o711 });
    readdirSync(path);
    accessSync(path, constants.W_OK);
  } catch (error) {
    throw new Error(`${flag} ${path}: ${explain(error)}: give a folder that can be written to`);
  }
}

async function lock(dataRoot: string): Promise<() => unknown> {
  try {
    return await lockDirectory(dataRoot);
  } catch (error) {
    if (!isStoreError(error, 'UNAVAILABLE')) throw error;
    throw new Error(`${dataRoot} is in use by another mydockerd: give this one a --data-root of its own`);
  }
}

/** What a data root is, from its first start on. */
interface EngineState {
  version: 1;
  id: string;
  /** Left out: overlay2, the only one that there once was. */
  storageDriver?: StorageDriver;
}

const engineFile = (dataRoot: string): string => join(dataRoot, 'engine.json');
const readEngine = (dataRoot: string): Promise<EngineState | undefined> =>
  readState<EngineState>(engineFile(dataRoot), 1);

async function newEngine(dataRoot: string, storageDriver: StorageDriver): Promise<EngineState> {
  const state: EngineState = { version: 1, id: randomUUID(), storageDriver };
  await writeState(engineFile(dataRoot), state);
  return state;
}

/** Listens, also where a daemon that was killed has left its socket; not where one answers. */
async function listen(server: Server, socket: string): Promise<void> {
  mkdirSync(dirname(socket), { recursive: true });
  if (await somebodyAnswers(socket))
    throw new Error(`another daemon listens on ${socket}: give this one a --host of its own`);
  rmSync(socket, { force: true });
  // Root and the socket's group alone: whoever can talk to the daemon is root of this machine.
  const mask = process.umask(0o117);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(socket, resolve);
    });
  } finally {
    process.umask(mask);
  }
}

function somebodyAnswers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const attempt = connect(socket);
    attempt.once('connect', () => {
      attempt.destroy();
      resolve(true);
    });
    attempt.once('error', () => resolve(false));
  });
}

/** No new requests; those under way (a log that is followed, an attached client) are cut. */
function close(server: Server, socket: string): Promise<void> {
  rmSync(socket, { force: true });
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
