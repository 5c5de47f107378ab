import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, openSync, readFileSync, closeSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** What one run of a program took. */
export interface Run {
  /** milliseconds */
  time: number;
  /** The most memory that it had at any moment, megabytes; `undefined` where it belongs to a daemon. */
  peak?: number;
  output: string;
}

/** The peak of a process that is alive, in megabytes; 0 when it is gone. */
export function peakOf(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

/** Runs a program to its end, and looks every 20 ms how much memory it has. @throws Error with what it said when it fails */
export async function timed(program: string, args: readonly string[], input?: string): Promise<Run> {
  const stdin = input === undefined ? 'ignore' : openSync(input, 'r');
  const env = { PATH: process.env['PATH'], HOME: process.env['HOME'] };
  const start = process.hrtime.bigint();
  const child = spawn(program, args, { stdio: [stdin, 'pipe', 'pipe'], env });
  if (typeof stdin === 'number') closeSync(stdin);
  let [output, errors, peak] = ['', '', 0];
  child.stdout!.on('data', (data: Buffer) => (output += data.toString()));
  child.stderr!.on('data', (data: Buffer) => (errors += data.toString()));
  const looking = setInterval(() => (peak = Math.max(peak, peakOf(child.pid!))), 20);
  const [status] = (await once(child, 'close')) as [number | null];
  clearInterval(looking);
  const time = Number(process.hrtime.bigint() - start) / 1e6;
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: status ${status}: ${errors.slice(-1000)}`);
  return { time, peak, output };
}

/** Whether a program is installed. */
export function isThere(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** A dockerd with places of its own; nothing of a running one is touched. */
export interface Docker {
  /** Where it listens. */
  host: string;
  pids: number[];
  docker(args: readonly string[], input?: string): Promise<Run>;
  stop(): Promise<void>;
}

export async function startDocker(dir: string): Promise<Docker> {
  const at = (name: string): string => join(dir, name);
  mkdirSync(at('exec'), { recursive: true });
  writeFileSync(at('config.toml'), 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n');
  writeFileSync(at('daemon.json'), '{}');
  const programs: ChildProcess[] = [];
  const host = `unix://${at('docker.sock')}`;
  const docker = (args: readonly string[], input?: string): Promise<Run> =>
    timed('docker', ['-H', host, ...args], input);
  const stop = async (): Promise<void> => {
    for (const program of programs.splice(0).reverse()) {
      if (program.exitCode !== null) continue;
      program.kill('SIGTERM');
      await once(program, 'exit');
    }
  };
  const start = async (
    program: string,
    args: readonly string[],
    answers: () => Promise<unknown>,
  ): Promise<void> => {
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'ignore'] });
    programs.push(child);
    for (let tries = 0; ; tries++) {
      try {
        await answers();
        return;
      } catch (error) {
        if (child.exitCode !== null || tries > 200)
          throw new Error(`${program} does not start`, { cause: error });
        await sleep(100);
      }
    }
  };
  const socket = at('containerd.sock');
  try {
    await start(
      'containerd',
      ['-c', at('config.toml'), '--root', at('ctd'), '--state', at('ctd-run'), '--address', socket],
      () => timed('ctr', ['--address', socket, 'version']),
    );
    const places = [
      '--data-root',
      at('data'),
      '--exec-root',
      at('exec'),
      '--pidfile',
      at('pid'),
      '--containerd',
      socket,
    ];
    const quiet = ['--bridge', 'none', '--iptables=false', '--ip-masq=false', '--ip-forward=false'];
    await start('dockerd', ['--config-file', at('daemon.json'), '--host', host, ...places, ...quiet], () =>
      docker(['version']),
    );
  } catch (error) {
    await stop();
    throw error;
  }
  return { host, pids: programs.map(({ pid }) => pid!), docker, stop };
}
