import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeExecutable } from '../../01-processes/index.ts';

/** `mydocker` as people run it: one executable file, in a folder of its own. */
export async function buildMydocker(): Promise<{ path: string; remove(): void }> {
  const directory = mkdtempSync(join(tmpdir(), 'mydocker-07c-bin-'));
  const path = join(directory, 'mydocker');
  await makeExecutable({ source: fileURLToPath(new URL('../mydocker.ts', import.meta.url)), out: path });
  return { path, remove: () => rmSync(directory, { recursive: true, force: true }) };
}

export interface Outcome {
  /** The exit status; 128 and the signal's number where a signal ended it. */
  status: number;
  stdout: Buffer;
  stderr: string;
}

/** Runs a program to its end; one that does not come to it is killed. Its environment is only what is given, and PATH. */
export function runProgram(
  path: string,
  args: readonly string[],
  {
    env = {},
    stdin = '',
    onStart,
  }: { env?: Record<string, string>; stdin?: string | Buffer | null; onStart?: (pid: number) => void } = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(path, args, {
      env: { PATH: process.env['PATH'], HOME: '/root', ...env },
      stdio: [stdin === null ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      timeout: 100_000,
      killSignal: 'SIGKILL',
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout!.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr!.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.on('error', reject);
    child.on('close', (code, signal) =>
      resolve({
        status: code ?? 128 + (signal === 'SIGPIPE' ? 13 : 0),
        stdout: Buffer.concat(stdout),
        stderr: Buffer.concat(stderr).toString(),
      }),
    );
    if (stdin !== null) {
      child.stdin!.on('error', () => {});
      child.stdin!.end(stdin);
    }
    onStart?.(child.pid!);
  });
}
