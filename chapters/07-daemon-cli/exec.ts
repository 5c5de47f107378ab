import { mkdirSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { isGrpcError, jsonAny, OCI_TYPES } from '../06-shim-containerd/index.ts';
import { ApiError, conflict } from './api-error.ts';
import { send } from './attach.ts';
import { tell } from './container-events.ts';
import { mergeEnv } from './container-config.ts';
import type { ContainerRecord } from './container.ts';
import type { Daemon } from './daemon.ts';
import type { Exec } from './exec-store.ts';
import { makeFifo, readFifo, writeFifo } from './fifo.ts';
import { readInRoot } from './in-root.ts';
import { explain, log } from './log.ts';
import { lookUpUser } from './passwd.ts';
import { processSpec } from './spec.ts';
import { startError } from './start-error.ts';
import { forward, runDirectory } from './stdin.ts';
import { frame, type StreamNumber } from './stdcopy.ts';

/** @throws ApiError 409 where no command can be run in a container */
export function checkExecutable({ id, state }: ContainerRecord): void {
  if (state.status === 'paused')
    throw conflict(`container ${id} is paused, unpause the container before exec`);
  if (state.status === 'restarting')
    throw conflict(`container ${id} is restarting, wait until the container is running`);
  if (state.status !== 'running') throw conflict(`container ${id} is not running`);
}

/**
 * Runs a command in a running container: in its namespaces and cgroup, under its limits, with streams of its own. With a client, returns
 * when the command has ended and the client has been told everything; without one, when it runs.
 * @throws ApiError 400 when the command cannot be run (and there is no client to tell), 409 when the container does not run
 */
export async function startExec(
  daemon: Daemon,
  record: ContainerRecord,
  exec: Exec,
  client: Socket | undefined,
  consoleSize?: [rows: number, columns: number] | null,
): Promise<void> {
  const { containerd } = daemon;
  const ids = { containerId: record.id, execId: exec.id };
  const directory = join(runDirectory(daemon, record.id), `exec-${exec.id}`);
  const fifos = client ? makeFifos(directory, exec) : { outputs: [], stdin: '', stdout: '', stderr: '' };
  const stdin = fifos.stdin && client ? writeFifo(fifos.stdin) : undefined;
  let added = false;
  try {
    await containerd.tasks.exec({
      ...ids,
      stdin: fifos.stdin,
      stdout: fifos.stdout,
      stderr: fifos.stderr,
      terminal: exec.tty,
      spec: jsonAny(OCI_TYPES.process, execSpec(daemon, record, exec, consoleSize)),
    });
    added = true;
    exec.state = 'running';
    exec.pid = (await containerd.tasks.start(ids)).pid;
    tell(daemon, record, `exec_start: ${exec.command.join(' ')}`, { execID: exec.id });
  } catch (error) {
    const { exitCode, status, message } = startError(
      (await hasEnded(daemon, record)) ? conflict(`container ${record.id} is not running`) : error,
    );
    exec.end(exitCode);
    if (added) void forget(daemon, ids);
    for (const { stream, writersCame } of fifos.outputs) {
      writersCame();
      stream.destroy();
    }
    stdin?.destroy();
    rmSync(directory, { recursive: true, force: true });
    const reason = message.replace(/^failed to create task for container: /, '');
    if (!client) throw new ApiError(status, reason);
    // The connection is no longer HTTP: all that is left to tell it with is the stream.
    await send(client, exec.tty ? Buffer.from(`${reason}\r\n`) : frame(1, Buffer.from(`${reason}\n`)));
    client.destroySoon();
    return;
  }

  // An event says so too; whichever comes first.
  containerd.tasks.wait(ids).then(
    ({ exitStatus }) => exec.end(exitStatus),
    (error: unknown) => log('debug', `waiting for exec ${exec.id}: ${explain(error)}`),
  );
  const finish = async (): Promise<void> => {
    await exec.ended;
    stdin?.destroy();
    await forget(daemon, ids);
    rmSync(directory, { recursive: true, force: true });
    tell(daemon, record, 'exec_die', { execID: exec.id, exitCode: String(exec.exitCode) });
  };
  if (!client) return void finish();
  if (stdin)
    forward(client, stdin, async () => {
      await containerd.tasks
        .closeIO({ ...ids, stdin: true })
        .catch((error: unknown) => log('debug', `closing stdin of exec ${exec.id}: ${explain(error)}`));
    });
  else client.resume();
  const outputs = fifos.outputs.map((output) => {
    output.writersCame();
    return copyOut(output.stream, client, exec.tty ? undefined : output.number);
  });
  try {
    await exec.ended;
    // What it wrote is still on its way; a grandchild that keeps the fifo open is not waited for.
    const late = new Promise((resolve) => setTimeout(resolve, 2000).unref());
    await Promise.race([Promise.all(outputs), late]);
  } finally {
    for (const { stream } of fifos.outputs) stream.destroy();
    await finish();
    client.destroySoon();
  }
}

function makeFifos(directory: string, exec: Exec) {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const make = (name: string, wanted: boolean): string => {
    if (!wanted) return '';
    makeFifo(join(directory, name));
    return join(directory, name);
  };
  const paths = {
    stdin: make('stdin', exec.attachStdin),
    stdout: make('stdout', exec.attachStdout || exec.tty),
    stderr: make('stderr', exec.attachStderr && !exec.tty),
  };
  const outputs = (
    [
      [paths.stdout, 1],
      [paths.stderr, 2],
    ] as const
  )
    .filter(([path]) => path !== '')
    .map(([path, number]) => ({ number: number as StreamNumber, ...readFifo(path) }));
  return { ...paths, outputs };
}

async function copyOut(source: Socket, client: Socket, stream: StreamNumber | undefined): Promise<void> {
  try {
    for await (const data of source)
      await send(client, stream === undefined ? (data as Buffer) : frame(stream, data as Buffer));
  } catch (error) {
    log('debug', `output of an exec: ${explain(error)}`);
  }
}

/** Whether the container has ended meanwhile: then what the shim says of the exec, if it says anything, is beside the point. */
async function hasEnded({ containerd }: Daemon, { id }: ContainerRecord): Promise<boolean> {
  try {
    const { process } = await containerd.tasks.get({ containerId: id });
    return process?.status === 'STOPPED';
  } catch (error) {
    return isGrpcError(error, 'NotFound', 'Unavailable');
  }
}

async function forget(daemon: Daemon, ids: { containerId: string; execId: string }): Promise<void> {
  await daemon.containerd.tasks
    .deleteProcess(ids)
    .catch((error: unknown) => log('debug', `deleting exec ${ids.execId}: ${explain(error)}`));
}

function execSpec(
  daemon: Daemon,
  { config, hostConfig, state }: ContainerRecord,
  exec: Exec,
  consoleSize: [number, number] | null | undefined,
): object {
  const root = `/proc/${state.pid}/root`;
  const accounts = {
    passwd: readInRoot(root, '/etc/passwd'),
    group: readInRoot(root, '/etc/group'),
  };
  const user = lookUpUser(exec.user || config.User, accounts, exec.user ? [] : (hostConfig.GroupAdd ?? []));
  const host = exec.privileged ? { ...hostConfig, Privileged: true } : hostConfig;
  const [rows = 0, columns = 0] = consoleSize ?? [];
  return {
    ...processSpec(
      { ...config, Tty: exec.tty, Env: mergeEnv(config.Env, exec.env) },
      host,
      user,
      daemon.machine.capabilities,
    ),
    args: exec.command,
    cwd: exec.workingDir || config.WorkingDir || '/',
    terminal: exec.tty,
    ...(exec.tty && rows > 0 && columns > 0 ? { consoleSize: { height: rows, width: columns } } : {}),
  };
}
