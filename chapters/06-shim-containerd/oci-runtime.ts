import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Reaper } from './reaper.ts';

/** What 0, 1 and 2 of a program are: descriptors, or /dev/null. */
export type ProcessStdio = [number | 'ignore', number | 'ignore', number | 'ignore'];

export interface RuntimeOptions {
  /** The program: a path, or a name to be found along PATH. */
  binary: string;
  /** Where it keeps its state, one directory a container. */
  root: string;
  /** The container's bundle; the runtime's log goes there. */
  bundle: string;
  systemdCgroup?: boolean;
  /** Where the runtime's processes are noted as not to be reaped; none when nobody reaps. */
  reaper?: Reaper;
}

export interface NewProcess {
  stdio: ProcessStdio;
  /** Where the runtime writes the process's id. */
  pidFile: string;
  /** With a terminal: the socket that the master is sent to. */
  consoleSocket?: string;
}

/** An OCI runtime's command line, a function a verb. Each rejects with the last error of the runtime's own log. */
export interface OciRuntime {
  create(id: string, process: NewProcess & { noPivot?: boolean; noNewKeyring?: boolean }): Promise<number>;
  start(id: string): Promise<void>;
  /** @param spec file with the OCI Process as JSON */
  exec(id: string, spec: string, process: NewProcess): Promise<number>;
  kill(id: string, signal: number, options?: { all?: boolean }): Promise<void>;
  delete(id: string, options?: { force?: boolean }): Promise<void>;
  pause(id: string): Promise<void>;
  resume(id: string): Promise<void>;
  /** @param resources OCI LinuxResources as JSON */
  update(id: string, resources: string): Promise<void>;
  /** The ids of all processes in the container. */
  ps(id: string): Promise<number[]>;
}

/**
 * The runtime as containerd's shims call it: `BINARY --root R --log BUNDLE/log.json --log-format json VERB …`. It is a program that
 * does one thing and exits: nothing of it stays while the container runs.
 */
export function ociRuntime({ binary, root, bundle, systemdCgroup, reaper }: RuntimeOptions): OciRuntime {
  const log = join(bundle, 'log.json');
  const global = ['--root', root, '--log', log, '--log-format', 'json'];
  if (systemdCgroup) global.push('--systemd-cgroup');

  const run = async (verb: string, args: string[], how: How = {}): Promise<string> => {
    rmSync(log, { force: true });
    const { status, stdout, stderr } = await runProgram(binary, [...global, verb, ...args], how, reaper);
    if (status === 0) return stdout;
    const reason = lastError(log) ?? (stderr.trim() || `${binary} ${verb}: exit status ${status}`);
    throw new Error(`OCI runtime ${verb} failed: ${reason}`);
  };
  const newProcess = async (
    verb: string,
    args: string[],
    id: string,
    process: NewProcess,
  ): Promise<number> => {
    const { stdio, pidFile, consoleSocket } = process;
    const terminal = consoleSocket === undefined ? [] : ['--console-socket', consoleSocket];
    await run(verb, [...args, '--pid-file', pidFile, ...terminal, id], { stdio });
    return Number(readFileSync(pidFile, 'utf8'));
  };

  return {
    create: (id, process) => {
      const flags = ['--bundle', bundle];
      if (process.noPivot) flags.push('--no-pivot');
      if (process.noNewKeyring) flags.push('--no-new-keyring');
      return newProcess('create', flags, id, process);
    },
    start: async (id) => void (await run('start', [id])),
    exec: (id, spec, process) => newProcess('exec', ['--process', spec, '--detach'], id, process),
    kill: async (id, signal, { all } = {}) =>
      void (await run('kill', [...(all ? ['--all'] : []), id, String(signal)])),
    delete: async (id, { force } = {}) => void (await run('delete', [...(force ? ['--force'] : []), id])),
    pause: async (id) => void (await run('pause', [id])),
    resume: async (id) => void (await run('resume', [id])),
    update: async (id, resources) =>
      void (await run('update', ['--resources', '-', id], { input: resources })),
    ps: async (id) => JSON.parse(await run('ps', ['--format', 'json', id])) as number[],
  };
}

interface How {
  stdio?: ProcessStdio;
  input?: string;
}

/** Runs a program to its end. With `stdio` it gets these descriptors as its own, and so does the container that it makes. */
function runProgram(
  binary: string,
  args: string[],
  { stdio, input }: How,
  reaper?: Reaper,
): Promise<{ status: number; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(binary, args, {
      cwd: '/',
      env: { PATH: process.env['PATH'] ?? DEFAULT_PATH },
      stdio: stdio ?? [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    const { pid } = child;
    if (pid !== undefined) reaper?.leave(pid);
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.stdin?.on('error', () => undefined).end(input);
    child.on('error', (error) => reject(new Error(`cannot run ${JSON.stringify(binary)}: ${error.message}`)));
    // Not 'close': what the runtime left running may hold its output open for as long as it lives.
    child.on('exit', (code, signal) => {
      if (pid !== undefined) reaper?.unleave(pid);
      setImmediate(() => resolve({ status: code ?? (signal ? 128 : 1), stdout, stderr }));
    });
  });
}

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The message of the last error in a runtime's JSON log: what the person who typed `run` should read. */
function lastError(log: string): string | undefined {
  if (!existsSync(log)) return undefined;
  for (const line of readFileSync(log, 'utf8').trim().split('\n').reverse()) {
    try {
      const { level, msg } = JSON.parse(line) as { level?: string; msg?: string };
      if (msg !== undefined && (level === 'error' || level === 'fatal')) return msg;
    } catch {
      // a line cut short
    }
  }
  return undefined;
}
