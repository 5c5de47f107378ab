import { spawn, spawnSync } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findBusybox, makeBaseImage } from '../../chapters/04-overlayfs/index.ts';
import { BIN, build } from '../build.ts';
import { startEngine, temporaryPlaces, type Engine } from '../engine.ts';

export interface Outcome {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** An engine of a test file's own: places, bridge and subnet drawn at random, the base image loaded. */
export interface TestEngine {
  engine: Engine;
  /** A folder of the test's own, taken away with the engine. */
  root: string;
  /** Runs final/bin/mydocker to its end. `input` is its standard input, which is empty otherwise. */
  mydocker(args: string[], options?: { input?: string }): Outcome;
  /** The same, as a person would type it. Words are split at spaces. */
  type(line: string): Outcome;
  /** One container as `inspect` shows it. */
  inspect(container: string): Inspected;
  /** A name no other container has. */
  name(): string;
  /** Starts mydockerd again in the same places, after it was killed. */
  restart(): Promise<void>;
  /** Removes every container, ends the engine, and takes everything away. */
  stop(): Promise<void>;
}

/** The parts of `inspect` that tests look at. */
export interface Inspected {
  Id: string;
  State: { Status: string; Running: boolean; Pid: number; ExitCode: number };
  Config: Record<string, unknown>;
  HostConfig: Record<string, unknown>;
  NetworkSettings: { IPAddress: string; Gateway: string };
}

/** Builds final/bin/ and starts an engine that meets no other one, with more of mydockerd's flags, and its data elsewhere, if told. */
export async function startTestEngine({
  flags: more = [],
  dataRoot,
}: { flags?: readonly string[]; dataRoot?: string } = {}): Promise<TestEngine> {
  await build();
  const own = temporaryPlaces('mydocker-test');
  const places = { ...own, dataRoot: dataRoot ?? own.dataRoot };
  const flags = [
    '--bridge',
    `mdt${randomBytes(3).toString('hex')}`,
    '--bip',
    `10.${randomInt(64, 250)}.${randomInt(255)}.1/24`,
    ...more,
  ];
  let engine = await startEngine({ ...places, flags });
  const mydocker: TestEngine['mydocker'] = (args, { input = '' } = {}) => {
    const result = spawnSync(join(BIN, 'mydocker'), ['--host', `unix://${engine.socket}`, ...args], {
      input,
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
      timeout: 100_000,
      killSignal: 'SIGKILL',
    });
    if (result.error) throw result.error;
    return { status: result.status, stdout: result.stdout, stderr: result.stderr };
  };
  const archive = join(places.root, 'busybox.tar');
  await makeBaseImage({ busybox: findBusybox(), out: archive });
  const loaded = mydocker(['load', '-i', archive]);
  if (loaded.status !== 0) throw new Error(`mydocker load: ${loaded.stderr}`);
  return {
    get engine() {
      return engine;
    },
    root: places.root,
    mydocker,
    type: (line) => mydocker(line.split(' ').filter(Boolean)),
    inspect: (container) => {
      const { status, stdout, stderr } = mydocker(['inspect', container]);
      if (status !== 0) throw new Error(`mydocker inspect ${container}: ${stderr}`);
      return (JSON.parse(stdout) as [Inspected])[0];
    },
    name: () => `t-${randomBytes(4).toString('hex')}`,
    restart: async () => {
      engine = await startEngine({ ...places, flags });
    },
    stop: async () => {
      const all = mydocker(['ps', '-aq']).stdout.split('\n').filter(Boolean);
      if (all.length > 0) mydocker(['rm', '-f', ...all]);
      await engine.stop();
      places.remove();
    },
  };
}

/** Starts final/bin/mydocker and leaves it running; what it prints is gathered in `out`. */
export function startClient(engine: Engine, args: string[]) {
  const child = spawn(join(BIN, 'mydocker'), ['--host', `unix://${engine.socket}`, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const output = { out: '', err: '' };
  child.stdout.on('data', (data: Buffer) => (output.out += data.toString()));
  child.stderr.on('data', (data: Buffer) => (output.err += data.toString()));
  const closed = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
  return { child, output, closed };
}

/**
 * Waits until something holds, at most `seconds`: long, for the machine may be slow or busy, and what is wrong is seldom wrong for a while only.
 * @throws Error that says what did not come about
 */
export async function eventually(
  what: string,
  holds: () => boolean | Promise<boolean>,
  seconds = 100,
): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`it did not come about within ${seconds} s that ${what}`);
    await sleep(30);
  }
}

/** A field of /proc/PID/status, or undefined when the process is gone. */
export function statusField(pid: number, field: string): string | undefined {
  if (!existsSync(`/proc/${pid}/status`)) return undefined;
  return new RegExp(`^${field}:\\s+(.*)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
}
