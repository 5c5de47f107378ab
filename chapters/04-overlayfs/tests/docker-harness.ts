import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';

/** Real containerd and dockerd with places of their own; nothing of a running engine is touched. */
export interface DockerEngine {
  /** A folder for the test, gone with the engine. */
  dir: string;
  ctr(...args: string[]): string;
  docker(...args: string[]): string;
  stop(): Promise<void>;
}

export async function startDocker(): Promise<DockerEngine> {
  const dir = mkdtempSync(join(tmpdir(), 'o4-peer-'));
  const at = (name: string): string => join(dir, name);
  const programs: ChildProcess[] = [];
  const ask = (program: string, args: string[]): string =>
    execFileSync(program, args, { encoding: 'utf8', stdio: 'pipe', timeout: 60_000 });
  const ctr = (...args: string[]): string => ask('ctr', ['--address', at('containerd.sock'), ...args]);
  const docker = (...args: string[]): string => ask('docker', ['-H', `unix://${at('docker.sock')}`, ...args]);

  async function start(program: string, args: string[], answers: () => unknown): Promise<void> {
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    programs.push(child);
    let log = '';
    child.stderr.on('data', (text: Buffer) => (log += text.toString()));
    for (const end = performance.now() + 60_000; performance.now() < end;) {
      try {
        answers();
        return;
      } catch {
        expect([child.exitCode, child.signalCode], log.slice(-2000)).toEqual([null, null]);
        await sleep(100);
      }
    }
    throw new Error(`${program} does not answer: ${log.slice(-2000)}`);
  }

  async function stop(): Promise<void> {
    for (const program of programs.reverse()) {
      const ended = once(program, 'exit');
      program.kill('SIGTERM');
      const tooLong = setTimeout(() => program.kill('SIGKILL'), 60_000);
      if (program.exitCode === null && program.signalCode === null) await ended;
      clearTimeout(tooLong);
    }
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
  }

  try {
    writeFileSync(at('config.toml'), 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n');
    const containerd = ['-c', at('config.toml'), '--root', at('ctd'), '--state', at('ctd-run')];
    await start('containerd', [...containerd, '--address', at('containerd.sock')], () => ctr('version'));
    mkdirSync(at('exec'));
    writeFileSync(at('daemon.json'), '{}');
    const dockerd = [
      '--config-file',
      at('daemon.json'),
      '--data-root',
      at('data'),
      '--exec-root',
      at('exec'),
    ];
    const quiet = ['--bridge', 'none', '--iptables=false', '--ip-masq=false', '--ip-forward=false'];
    const places = ['--host', `unix://${at('docker.sock')}`, '--pidfile', at('pid')];
    await start('dockerd', [...dockerd, ...quiet, ...places, '--containerd', at('containerd.sock')], () =>
      docker('version'),
    );
  } catch (error) {
    await stop();
    throw error;
  }
  return { dir, ctr, docker, stop };
}
