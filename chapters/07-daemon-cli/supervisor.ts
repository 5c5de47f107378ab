import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, realpathSync, rmSync, writeFileSync, existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive, isErrno, kill, readCmdline, SIGNALS } from '../01-processes/index.ts';
import { connectContainerd, isGrpcError } from '../06-shim-containerd/index.ts';
import type { DaemonOptions } from './daemon-options.ts';
import { log } from './log.ts';
import { STORAGE_DRIVERS, type EngineContainerd, type StorageDriver } from './storage-driver.ts';

/** The containerd namespace in which the engine's containers and images are. */
export const NAMESPACE = 'mydocker';

/** Milliseconds in which a containerd must answer. */
const START_LIMIT = 20_000;

export interface Supervisor {
  client: EngineContainerd;
  /** Makes sure that one answers: waits for it, and starts it anew where it is ours. @throws Error */
  ensure(): Promise<void>;
  /** Ends it, where it is ours. Not while containers run that it is to look after. */
  stop(): Promise<void>;
}

/**
 * Connects to containerd: the one that was given, or mycontainerd at a place of this daemon's own, which is started if none answers. It is
 * nobody's child, in a session of its own: it survives this daemon.
 * @throws Error when the one that was given does not answer, or mycontainerd cannot be started, with its last words
 */
export async function connectSupervisor(options: DaemonOptions, driver: StorageDriver): Promise<Supervisor> {
  const state = join(options.execRoot, 'containerd');
  const address = options.containerd?.replace(/^unix:(\/\/)?/, '') ?? join(state, 'containerd.sock');
  const pidfile = join(state, 'mycontainerd.pid');
  const connection = connectContainerd(address, NAMESPACE, { patience: START_LIMIT });
  const client: EngineContainerd = { ...connection, snapshotter: STORAGE_DRIVERS[driver] };

  const answers = async (timeout: number): Promise<boolean> => {
    try {
      await client.version.version({}, { timeout });
      return true;
    } catch (error) {
      if (isGrpcError(error, 'Unavailable', 'DeadlineExceeded')) return false;
      throw error;
    }
  };
  const ensure = async (): Promise<void> => {
    if (existsSync(address) && (await answers(2000))) return;
    let died: (() => string | undefined) | undefined;
    if (options.containerd === undefined) died = await startMycontainerd(options, state, address, pidfile);
    for (const end = Date.now() + START_LIMIT; !(await answers(1000)); await sleep(30)) {
      const words = died?.();
      if (words !== undefined) throw new Error(`mycontainerd ended before it answered: ${words}`);
      if (Date.now() > end) throw new Error(`containerd does not answer at ${address}`);
    }
  };
  try {
    await ensure();
    await client.namespaces.create({ namespace: { name: NAMESPACE } }).catch((error: unknown) => {
      if (!isGrpcError(error, 'AlreadyExists')) throw error;
    });
  } catch (error) {
    client.close();
    throw error;
  }
  return {
    client,
    ensure,
    stop: async () => {
      client.close();
      if (options.containerd === undefined) await stopMycontainerd(pidfile);
    },
  };
}

async function startMycontainerd(
  options: DaemonOptions,
  state: string,
  address: string,
  pidfile: string,
): Promise<() => string | undefined> {
  await mkdir(state, { recursive: true, mode: 0o711 });
  const program = findProgram('mycontainerd');
  const logFile = join(options.dataRoot, 'mycontainerd.log');
  const fd = openSync(logFile, 'a', 0o600);
  try {
    const child = spawn(
      program,
      [
        ...['--root', join(options.dataRoot, 'containerd')],
        ...['--state', state],
        ...['--address', address],
        ...['--log-level', options.debug ? 'debug' : 'info'],
      ],
      {
        detached: true,
        stdio: ['ignore', fd, fd],
        cwd: '/',
        env: {
          PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin',
          HOME: process.env['HOME'] ?? '/root',
        },
      },
    );
    let failure: string | undefined;
    child.on('error', (error) => (failure = error.message));
    child.on('exit', (code, signal) => {
      failure ??= `status ${code ?? signal}: ${lastLines(logFile)}`;
    });
    child.unref();
    if (child.pid !== undefined) {
      writeFileSync(pidfile, `${child.pid}\n`);
      log('info', `started mycontainerd, process ${child.pid}`);
    }
    return () => failure;
  } finally {
    closeSync(fd);
  }
}

/** A program of the engine: beside this one, or in PATH. @throws Error that says where it was looked for */
export function findProgram(name: string): string {
  const beside = dirname(realpathSync(process.argv[1] ?? '.'));
  const places = [beside, ...(process.env['PATH'] ?? '').split(delimiter).filter(Boolean)];
  const found = places.map((place) => join(place, name)).find((path) => existsSync(path));
  if (!found) throw new Error(`${name}: not found beside ${process.argv[1]} nor in PATH: run npm run build`);
  return found;
}

const lastLines = (path: string): string =>
  readFileSync(path, 'utf8').trim().split('\n').slice(-3).join(' | ');

/** SIGTERM, ten seconds, SIGKILL; only to a process that is what the pidfile says. */
async function stopMycontainerd(pidfile: string): Promise<void> {
  let pid: number;
  try {
    pid = Number(readFileSync(pidfile, 'utf8'));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return;
    throw error;
  }
  const isOurs = (): boolean =>
    isAlive(pid) && (readCmdline(pid) ?? []).some((arg) => arg.endsWith('mycontainerd'));
  for (const signal of ['SIGTERM', 'SIGKILL'])
    for (let waited = 0; isOurs() && waited < 10_000; waited += 30) {
      if (waited === 0) kill(pid, SIGNALS[signal]!);
      await sleep(30);
    }
  rmSync(pidfile, { force: true });
}
