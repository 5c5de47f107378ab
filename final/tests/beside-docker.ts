import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startDocker, type Docker } from '../bench/images-run.ts';
import { startTestEngine, type Outcome, type TestEngine } from './harness.ts';

/** dockerd and mydockerd side by side, each with the same base image, driven by the same stock client. */
export interface BesideDocker {
  theirs: Docker;
  ours: TestEngine;
  /** A folder of the test's own. */
  dir: string;
  /** Where each listens: dockerd first. */
  hosts: [string, string];
  stop(): Promise<void>;
}

export async function startBesideDocker(): Promise<BesideDocker> {
  const dir = mkdtempSync(join(tmpdir(), 'beside-docker-'));
  const ours = await startTestEngine();
  let theirs: Docker | undefined;
  const stop = async (): Promise<void> => {
    await theirs?.stop();
    await ours.stop();
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    theirs = await startDocker(join(dir, 'docker'));
    await theirs.docker(['load', '-i', join(ours.root, 'busybox.tar')]);
    return { theirs, ours, dir, hosts: [theirs.host, `unix://${ours.engine.socket}`], stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

// Of the version that both speak: answers of later ones have other fields.
const environment = {
  PATH: process.env['PATH'],
  HOME: '/nonexistent',
  DOCKER_BUILDKIT: '0',
  DOCKER_API_VERSION: '1.41',
};

/** The stock client, at one of the two, to its end: a minute and a half at most. */
export function docker(host: string, args: readonly string[]): Promise<Outcome> {
  const child = spawn('docker', ['-H', host, ...args], {
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 90_000,
    killSignal: 'SIGKILL',
  });
  const outcome = { status: null as number | null, stdout: '', stderr: '' };
  child.stdout.on('data', (data: Buffer) => (outcome.stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (outcome.stderr += data.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve({ ...outcome, status }));
  });
}
