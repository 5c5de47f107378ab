import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, closeSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno, isRunning, kill, listPids, readCmdline, SIGNALS } from '../chapters/01-processes/index.ts';
import { daemonEnvironment } from '../chapters/07-daemon-cli/index.ts';
import { BIN } from './build.ts';

/** Where one engine keeps its things. Two engines with different places do not meet. */
export interface EnginePlaces {
  /** Images, containers, logs: what outlives a restart. */
  dataRoot: string;
  /** Sockets and run state: what a reboot ends. */
  execRoot: string;
  /** More of mydockerd's flags. */
  flags?: readonly string[];
}

export interface Engine extends EnginePlaces {
  socket: string;
  /** mydockerd's process id. */
  pid: number;
  /** Ends the engine: mydockerd first, then its mycontainerd. Containers that still run go on. */
  stop(): Promise<void>;
}

/** Docker's own default places, with `my` before the name. */
export const DEFAULT_PLACES: EnginePlaces = { dataRoot: '/var/lib/mydocker', execRoot: '/run/mydocker' };

/** New, empty places under the temporary directory. `remove` takes away what the engine left there. */
export function temporaryPlaces(prefix: string): EnginePlaces & { root: string; remove(): void } {
  const root = mkdtempSync(join(tmpdir(), `${prefix}-`));
  return {
    root,
    dataRoot: join(root, 'data'),
    execRoot: join(root, 'run'),
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}

export const socketOf = ({ execRoot }: EnginePlaces): string => join(execRoot, 'mydocker.sock');

/** Whether a daemon answers on a socket. */
export function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const ping = request({ socketPath: socket, path: '/_ping', timeout: 2000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ping
      .on('timeout', () => ping.destroy())
      .on('error', () => resolve(false))
      .end();
  });
}

/**
 * Starts final/bin/mydockerd in these places and waits until it answers. It must have been built.
 * @throws Error with the last lines of the daemon's log when it ends before it answers; when `signal` aborts, after ending the daemon
 */
export async function startEngine(places: EnginePlaces, signal?: AbortSignal): Promise<Engine> {
  const socket = socketOf(places);
  mkdirSync(places.dataRoot, { recursive: true });
  const log = join(places.dataRoot, 'mydockerd.log');
  const fd = openSync(log, 'a');
  const daemon = spawn(
    join(BIN, 'mydockerd'),
    ['--data-root', places.dataRoot, '--exec-root', places.execRoot, ...(places.flags ?? [])],
    {
      stdio: ['ignore', fd, fd],
      detached: true,
      env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/', ...daemonEnvironment() },
    },
  );
  closeSync(fd);
  daemon.unref();
  while (!(await answers(socket))) {
    if (daemon.exitCode !== null || daemon.signalCode !== null) {
      const last = readFileSync(log, 'utf8').trim().split('\n').slice(-10).join('\n');
      throw new Error(`mydockerd ended with ${daemon.exitCode ?? daemon.signalCode}:\n${last}`);
    }
    await sleep(50);
    if (signal?.aborted) {
      await stopEngine(places, daemon.pid!);
      signal.throwIfAborted();
    }
  }
  return runningEngine(places, daemon.pid);
}

/** The engine that runs in these places. Its daemon's process id is in its pidfile. */
export function runningEngine(
  places: EnginePlaces,
  pid = Number(readFileSync(join(places.execRoot, 'mydocker.pid'), 'utf8')),
): Engine {
  return { ...places, socket: socketOf(places), pid, stop: () => stopEngine(places, pid) };
}

async function stopEngine(places: EnginePlaces, daemon: number): Promise<void> {
  await endProcess(daemon);
  const supervisor = supervisorPid(places);
  if (supervisor !== undefined) await endProcess(supervisor);
}

/** The process id of the mycontainerd that serves these places, found by its command line; undefined when none runs. */
export function supervisorPid({ execRoot }: EnginePlaces): number | undefined {
  return processes().find(
    ({ args }) =>
      args.some((a) => a.endsWith('/mycontainerd')) && args.includes(join(execRoot, 'containerd')),
  )?.pid;
}

/** Every process that has a command line. */
export function processes(): { pid: number; args: string[] }[] {
  return listPids().flatMap((pid) => {
    const args = readCmdline(pid);
    return args === undefined || args.length === 0 ? [] : [{ pid, args }];
  });
}

/** SIGTERM, ten seconds, then SIGKILL; returns when the process is gone. */
async function endProcess(pid: number): Promise<void> {
  for (const signal of [SIGNALS['SIGTERM']!, SIGNALS['SIGKILL']!]) {
    try {
      kill(pid, signal);
    } catch (error) {
      if (isErrno(error, 'ESRCH')) return;
      throw error;
    }
    for (let waited = 0; waited < 10_000; waited += 20) {
      if (!isRunning(pid)) return;
      await sleep(20);
    }
  }
}
