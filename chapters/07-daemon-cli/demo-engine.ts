import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { randomBytes, randomInt } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isRunning, kill, makeExecutable, readCmdline, SIGNALS } from '../01-processes/index.ts';
import { findBusybox, makeBaseImage } from '../04-overlayfs/index.ts';
import { apiClient, type ApiClient } from './api-client.ts';
import { daemonEnvironment } from './daemon-options.ts';

/** A whole engine in a folder of its own: programs, data, sockets, bridge. It meets no other engine of the machine. */
export interface DemoEngine {
  /** Where the programs are. */
  bin: string;
  dataRoot: string;
  execRoot: string;
  socket: string;
  bridge: string;
  /** An archive of the base image. */
  archive: string;
  /** Starts mydockerd and waits until it answers; says its process id. @throws Error with its last words */
  start(): Promise<number>;
  /** A client of the daemon that runs now. */
  client(): ApiClient;
  /** The process id of its mycontainerd; undefined when none runs. */
  supervisor(): number | undefined;
  /** Removes every container, ends everything and takes the folder away; from then on nothing starts. */
  stop(): Promise<void>;
}

const CHAPTERS = join(import.meta.dirname, '..');
const PROGRAMS = [
  { name: 'myrunc', source: '05-runtime/myrunc.ts', singleThreaded: true },
  { name: 'containerd-shim-myrunc-v2', source: '06-shim-containerd/containerd-shim-myrunc-v2.ts' },
  { name: 'mycontainerd', source: '06-shim-containerd/mycontainerd.ts' },
  { name: 'mydockerd', source: '07-daemon-cli/mydockerd.ts' },
  { name: 'mydocker', source: '07-daemon-cli/mydocker.ts' },
];

/** Builds the engine into `root`, which must be an empty folder of the caller's. Nothing runs yet. */
export async function demoEngine(root: string): Promise<DemoEngine> {
  const bin = join(root, 'bin');
  const [dataRoot, execRoot] = [join(root, 'data'), join(root, 'run')];
  const archive = join(root, 'busybox.tar');
  const socket = join(execRoot, 'mydocker.sock');
  const bridge = `md${randomBytes(4).toString('hex')}`;
  const flags = [
    ...['--data-root', dataRoot, '--exec-root', execRoot],
    ...['--bridge', bridge, '--bip', `10.${randomInt(64, 250)}.${randomInt(1, 255)}.1/24`],
  ];
  await Promise.all([
    ...PROGRAMS.map(({ name, source, singleThreaded = false }) =>
      makeExecutable({ source: join(CHAPTERS, source), out: join(bin, name), singleThreaded }),
    ),
    makeBaseImage({ busybox: findBusybox(), out: archive }),
  ]);
  mkdirSync(dataRoot);
  const logFile = join(root, 'mydockerd.log');
  let daemon: number | undefined;

  const supervisor = (): number | undefined => {
    const file = join(execRoot, 'containerd', 'mycontainerd.pid');
    const pid = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
    const isOurs = pid > 0 && isRunning(pid) && readCmdline(pid)?.includes(join(execRoot, 'containerd'));
    return isOurs ? pid : undefined;
  };
  let stopped = false;
  let launching: Promise<number> | undefined;
  const launch = async (): Promise<number> => {
    const fd = openSync(logFile, 'a');
    const child = spawn(join(bin, 'mydockerd'), flags, {
      stdio: ['ignore', fd, fd],
      detached: true,
      env: { PATH: process.env['PATH'] ?? '', HOME: '/root', ...daemonEnvironment() },
    });
    closeSync(fd);
    child.unref();
    daemon = child.pid!;
    for (let tries = 0; !(await answers(socket)); tries++) {
      if (child.exitCode !== null || child.signalCode !== null || tries > 400)
        throw new Error(
          `mydockerd does not answer: ${readFileSync(logFile, 'utf8').trim().split('\n').at(-1)}`,
        );
      await sleep(50);
    }
    return daemon;
  };
  return {
    bin,
    dataRoot,
    execRoot,
    socket,
    bridge,
    archive,
    client: () => apiClient(`unix://${socket}`),
    supervisor,
    start: () => {
      if (stopped) throw new Error('the engine has been stopped');
      return (launching = launch());
    },
    stop: async () => {
      stopped = true;
      await launching?.catch(() => undefined);
      // Only a daemon can take away what containers have made of the machine; one that was killed may still be dying when it is asked.
      const remove = async (): Promise<void> => {
        if (daemon !== undefined && !isRunning(daemon)) await launch();
        await removeAll(socket);
      };
      await remove().catch(async (error: unknown) => {
        for (let tries = 0; daemon !== undefined && isRunning(daemon); tries++) {
          if (tries > 100) throw error;
          await sleep(50);
        }
        await remove();
      });
      for (const pid of [daemon, supervisor()]) if (pid !== undefined) await end(pid);
      rmSync(root, { recursive: true, force: true });
    },
  };
}

async function answers(socket: string): Promise<boolean> {
  const client = apiClient(`unix://${socket}`);
  try {
    await client.json('GET', '/info');
    return true;
  } catch {
    return false;
  } finally {
    client.close();
  }
}

/** Removes every container by force. */
async function removeAll(socket: string): Promise<void> {
  const client = apiClient(`unix://${socket}`);
  try {
    const all = await client.json<{ Id: string }[]>('GET', '/containers/json', { query: { all: true } });
    for (const { Id } of all)
      await client.json('DELETE', `/containers/${Id}`, { query: { force: true, v: true } });
  } finally {
    client.close();
  }
}

/** SIGTERM, and SIGKILL after ten seconds. */
async function end(pid: number): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGKILL'])
    for (let waited = 0; isRunning(pid) && waited < 10_000; waited += 20) {
      if (waited === 0) kill(pid, SIGNALS[signal]!);
      await sleep(20);
    }
}
